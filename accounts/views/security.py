"""Changing how I sign in: password, authenticator app, recovery codes."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts import cookies
from accounts.authenticators import totp
from accounts.destinations import go_on, safe_next
from accounts.forms import ChangePasswordForm, CodeForm
from accounts.guards import freshly_confirmed, signed_in
from accounts.requests import SignedInRequest
from accounts.services.factors import device_to_enrol, enrol_totp, make_recovery_codes, remove_totp
from accounts.services.guessing import Wrong
from accounts.services.oidc_sign_in import confirming
from accounts.services.passwords import change_password
from accounts.services.step_up import confirm_with_passkey, confirm_with_recovery_code, confirm_with_totp
from accounts.views import second_factor_ways
from accounts.views.answers import again, door_of
from accounts.views.enrolment import totp_context
from broker.errors import Invalid, Throttled

CONFIRM = "accounts/confirm.html"
PASSWORD = "accounts/change_password.html"  # noqa: S105 - a template
AUTHENTICATOR = "accounts/authenticator.html"
CODES = "accounts/new_recovery_codes.html"
REMOVE_TOTP = "accounts/authenticator_remove.html"
PHISHING_RESISTANT = "phishing-resistant"
PROVE = {
    "passkey": confirm_with_passkey,
    "totp": confirm_with_totp,
    "recovery-code": confirm_with_recovery_code,
}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def confirm(request: SignedInRequest) -> HttpResponse:
    """Give a second factor again, then go on to what wanted it (`next`); `need=phishing-resistant`: a passkey."""
    next = safe_next(request.GET.get("next", "") or "/account")
    need = PHISHING_RESISTANT if request.GET.get("need") == PHISHING_RESISTANT else ""
    ways = second_factor_ways.ways_of(request.user, phishing_resistant=bool(need))
    way = second_factor_ways.chosen(ways, request.GET.get("with", ""))
    context = {
        "next": next,
        "need": need,
        "way": way,
        "others": [other for other in ways if other != way],
        "own_account": next.startswith("/account"),
        "providers": [] if need else confirming(request.login_session),
        "add_url": f"/account/passkeys/add?{urlencode({'next': request.get_full_path()})}",
    }
    if request.method != "POST" or way is None:
        return render(request, CONFIRM, {"form": way.form() if way else None, **context})
    form = way.form(request.POST)
    if not form.is_valid():
        return again(request, CONFIRM, form, context=context)
    door = door_of(request, request.user.username)
    try:
        token = PROVE[way.name](request.origin, door, request.login_session, form.cleaned_data[way.field])
    except (Wrong, Throttled) as error:
        return again(request, CONFIRM, form, error, way.error_field(error), context)
    response = go_on(request, next)
    cookies.put(response, cookies.SESSION, token)
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def password(request: SignedInRequest) -> HttpResponse:
    """Change my password; everything else that is signed in as me is signed out."""
    if request.method != "POST":
        return render(request, PASSWORD, {"form": ChangePasswordForm()})
    form = ChangePasswordForm(request.POST)
    if not form.is_valid():
        return again(request, PASSWORD, form)
    door, new = door_of(request, request.user.username), form.cleaned_data["new_password"]
    try:
        count, token = change_password(request.origin, door, request.login_session, form.cleaned_data["password"], new)
    except Invalid as error:
        return again(request, PASSWORD, form, error, "new_password")
    except (Wrong, Throttled) as error:
        return again(request, PASSWORD, form, error, "password" if isinstance(error, Wrong) else None)
    others = f" {count} other sessions were signed out." if count else ""
    messages.success(request, f"Your password is changed.{others}")
    response = redirect("/account")
    cookies.put(response, cookies.SESSION, token)
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@freshly_confirmed
def authenticator(request: SignedInRequest) -> HttpResponse:
    """Enrol an authenticator app, in place of the one in use if there is one."""
    since = _confirmed_at(request)
    replaces = totp.device_of(request.user) is not None
    context = {"replaces": replaces, **totp_context(device_to_enrol(request.user, since))}
    if request.method != "POST":
        return render(request, AUTHENTICATOR, {"form": CodeForm(), **context})
    form = CodeForm(request.POST)
    if not form.is_valid():
        return again(request, AUTHENTICATOR, form, context=context)
    try:
        enrol_totp(request.origin, request.user, form.cleaned_data["code"], since, replace=True)
    except Wrong as error:
        return again(request, AUTHENTICATOR, form, error, "code", context)
    old = " The old one no longer works." if replaces else ""
    messages.success(request, f"Your new authenticator app is in use.{old}")
    return redirect("/account")


@require_http_methods(["GET", "HEAD", "POST"])
@freshly_confirmed
def remove_authenticator(request: SignedInRequest) -> HttpResponse:
    """The authenticator app is no factor any more; a passkey must be there."""
    if request.method != "POST":
        return render(request, REMOVE_TOTP)
    remove_totp(request.origin, request.user)
    messages.success(request, "The authenticator app is removed. You can delete the entry in it.")
    return redirect("/account")


@require_http_methods(["GET", "HEAD", "POST"])
@freshly_confirmed
def recovery_codes(request: SignedInRequest) -> HttpResponse:
    """Make ten new recovery codes; they are shown in the answer and never again."""
    codes = make_recovery_codes(request.origin, request.user) if request.method == "POST" else []
    return render(request, CODES, {"codes": codes})


def _confirmed_at(request: SignedInRequest) -> datetime:
    return request.login_session.mfa_at or timezone.now()  # `freshly_confirmed` saw to the first
