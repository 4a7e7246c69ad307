"""The addresses of sign-in, enrolment, one's own account and the CLI's OAuth."""

from django.urls import path

from accounts.views import account, enrolment, oauth, security, sign_in

urlpatterns = [
    path("sign-in", sign_in.sign_in),
    path("sign-in/second-factor", sign_in.second_factor),
    path("sign-in/password", sign_in.password_again),
    path("sign-in/new-password", enrolment.new_password),
    path("sign-in/enrol", enrolment.enrol),
    path("sign-in/recovery-codes", enrolment.recovery_codes),
    path("sign-in/cancel", sign_in.cancel),
    path("sign-out", sign_in.sign_out),
    path("invite/<str:token>", enrolment.invite),
    path("account", account.account),
    path("account/sessions/<uuid:session_id>/end", account.end_session),
    path("account/sign-out-everywhere", account.everywhere),
    path("account/confirm", security.confirm),
    path("account/password", security.password),
    path("account/authenticator", security.authenticator),
    path("account/recovery-codes", security.recovery_codes),
    path("oauth/authorize", oauth.authorize),
    path("oauth/code", oauth.code),
    path("oauth/token", oauth.token),
    path(".well-known/oauth-authorization-server", oauth.metadata),
]
