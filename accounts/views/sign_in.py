"""Signing in with name, password and second factor; signing out."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts import cookies
from accounts.destinations import go_on, safe_next
from accounts.forms import PasswordForm, SignInForm
from accounts.models import SignIn
from accounts.requests import Request
from accounts.services import oidc_sign_in
from accounts.services import sign_in as service
from accounts.services.guessing import Wrong
from accounts.services.login_sessions import end_login_session
from accounts.services.provider_logout import at_provider
from accounts.services.sign_in import Step
from accounts.views import second_factor_ways
from accounts.views.answers import again, door_of
from accounts.views.steps import at_step, begin, pending, to_next_step
from broker.errors import NotFound, Throttled

SIGN_IN = "accounts/sign_in.html"
SECOND_FACTOR = "accounts/second_factor.html"
PASSWORD = "accounts/password_again.html"  # noqa: S105 - a template
PROVE = {
    "passkey": service.prove_passkey,
    "totp": service.prove_totp,
    "recovery-code": service.prove_recovery_code,
}


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: Request) -> HttpResponse:
    """Name and password."""
    next = safe_next(request.GET.get("next", "") or request.POST.get("next", ""))
    if request.method != "POST":
        if request.login_session:
            return go_on(request, next)
        return render(request, SIGN_IN, {"form": SignInForm(), **_around(next)})
    form = SignInForm(request.POST)
    if not form.is_valid():
        return again(request, SIGN_IN, form, context=_around(next))
    door = door_of(request, form.cleaned_data["username"])
    try:
        token = service.begin(request.origin, door, form.cleaned_data["password"], next)
    except (Wrong, Throttled) as error:
        return again(request, SIGN_IN, form, error, context=_around(next))
    return begin(request, token)


def _around(next: str) -> dict[str, object]:
    """What stands around the form: where it leads, and the providers to sign in with."""
    return {"next": next, "providers": oidc_sign_in.choices()}


@require_http_methods(["GET", "HEAD", "POST"])
@at_step(Step.SECOND_FACTOR)
def second_factor(request: Request, sign_in: SignIn) -> HttpResponse:
    """A passkey, a code of the authenticator app or a recovery code: one that the user has, `?with=` says which."""
    user = sign_in.user
    ways = second_factor_ways.ways_of(user)
    way = second_factor_ways.chosen(ways, request.GET.get("with", ""))
    if way is None:
        raise NotFound("there is no second factor to give", "ask an administrator for a link")
    context = {"username": user.username, "way": way, "others": [other for other in ways if other != way]}
    if request.method != "POST":
        return render(request, SECOND_FACTOR, {"form": way.form(), **context})
    form = way.form(request.POST)
    if not form.is_valid():
        return again(request, SECOND_FACTOR, form, context=context)
    origin = service.actor(request.origin, user)
    try:
        PROVE[way.name](origin, door_of(request, user.username), sign_in, form.cleaned_data[way.field])
    except (Wrong, Throttled) as error:
        return again(request, SECOND_FACTOR, form, error, way.error_field(error), context)
    return to_next_step(request, sign_in)


@require_http_methods(["GET", "HEAD", "POST"])
@at_step(Step.PASSWORD)
def password_again(request: Request, sign_in: SignIn) -> HttpResponse:
    """After a reset of the second factor: the password that one still has."""
    user = sign_in.user
    context = {"username": user.username}
    if request.method != "POST":
        return render(request, PASSWORD, {"form": PasswordForm(), **context})
    form = PasswordForm(request.POST)
    if not form.is_valid():
        return again(request, PASSWORD, form, context=context)
    try:
        service.prove_password(request.origin, door_of(request, user.username), sign_in, form.cleaned_data["password"])
    except (Wrong, Throttled) as error:
        field = "password" if isinstance(error, Wrong) else None
        return again(request, PASSWORD, form, error, field, context)
    return to_next_step(request, sign_in)


@require_POST
def cancel(request: Request) -> HttpResponse:
    """Give up a sign-in and begin with another name."""
    found = pending(request)
    if found:
        service.cancel(found)
    response = redirect("/sign-in")
    cookies.drop(response, cookies.SIGN_IN)
    return response


@require_POST
def sign_out(request: Request) -> HttpResponse:
    """End this browser's login session. What it had open at apps is cut by the feed; the CLI's sessions stay.

    Who came from a provider may sign out there as well.
    """
    signing_out = None
    if request.login_session:
        end_login_session(request.origin, request.login_session)
        rotate_token(request)
        signing_out = at_provider(request.login_session)
    messages.success(request, "You are signed out.")
    onward = {"signing_out": signing_out}
    response = render(request, "accounts/oidc_signing_out.html", onward) if signing_out else redirect("/sign-in")
    cookies.drop(response, cookies.SESSION)
    cookies.drop(response, cookies.SIGN_IN)
    return response
