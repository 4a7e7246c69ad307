"""Changing how I sign in: password, authenticator app, recovery codes."""

from __future__ import annotations

from datetime import datetime

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts import cookies
from accounts.destinations import go_on, safe_next
from accounts.forms import ChangePasswordForm, CodeForm, RecoveryCodeForm
from accounts.guards import freshly_confirmed, signed_in
from accounts.requests import SignedInRequest
from accounts.services.factors import device_to_enrol, enrol_totp, make_recovery_codes
from accounts.services.guessing import Wrong
from accounts.services.passwords import change_password
from accounts.services.step_up import confirm_with_recovery_code, confirm_with_totp
from accounts.views.answers import again, door_of
from accounts.views.enrolment import totp_context
from broker.errors import Invalid, Throttled

CONFIRM = "accounts/confirm.html"
PASSWORD = "accounts/change_password.html"  # noqa: S105 - a template
AUTHENTICATOR = "accounts/authenticator.html"
CODES = "accounts/new_recovery_codes.html"


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def confirm(request: SignedInRequest) -> HttpResponse:
    """Give the second factor again, then go on to what wanted it."""
    next = safe_next(request.GET.get("next", "") or "/account")
    recovery = request.GET.get("with") == "recovery-code"
    context = {"next": next, "recovery": recovery}
    form_class = RecoveryCodeForm if recovery else CodeForm
    if request.method != "POST":
        return render(request, CONFIRM, {"form": form_class(), **context})
    form = form_class(request.POST)
    if not form.is_valid():
        return again(request, CONFIRM, form, context=context)
    prove = confirm_with_recovery_code if recovery else confirm_with_totp
    door = door_of(request, request.user.username)
    try:
        token = prove(request.origin, door, request.login_session, form.cleaned_data["code"])
    except (Wrong, Throttled) as error:
        return again(request, CONFIRM, form, error, "code" if isinstance(error, Wrong) else None, context)
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
    """Enrol another authenticator app in place of the one in use."""
    since = _confirmed_at(request)
    context = totp_context(device_to_enrol(request.user, since))
    if request.method != "POST":
        return render(request, AUTHENTICATOR, {"form": CodeForm(), **context})
    form = CodeForm(request.POST)
    if not form.is_valid():
        return again(request, AUTHENTICATOR, form, context=context)
    try:
        enrol_totp(request.origin, request.user, form.cleaned_data["code"], since, replace=True)
    except Wrong as error:
        return again(request, AUTHENTICATOR, form, error, "code", context)
    messages.success(request, "Your new authenticator app is in use. The old one no longer works.")
    return redirect("/account")


@require_http_methods(["GET", "HEAD", "POST"])
@freshly_confirmed
def recovery_codes(request: SignedInRequest) -> HttpResponse:
    """Make ten new recovery codes; they are shown in the answer and never again."""
    codes = make_recovery_codes(request.origin, request.user) if request.method == "POST" else []
    return render(request, CODES, {"codes": codes})


def _confirmed_at(request: SignedInRequest) -> datetime:
    return request.login_session.mfa_at or timezone.now()  # `freshly_confirmed` saw to the first
