"""Coming in by an invite: the link, a password, the authenticator app, the recovery codes."""

from __future__ import annotations

from collections.abc import Mapping

import segno
from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_http_methods

from accounts.authenticators import second_factor
from accounts.forms import CodeForm, NewPasswordForm, PasskeyForm
from accounts.models import SignIn, TotpDevice
from accounts.requests import Request
from accounts.services import sign_in as service
from accounts.services.guessing import Wrong
from accounts.services.invites import NotYet, accept_invite, open_invite
from accounts.services.sign_in import Step
from accounts.views.answers import again
from accounts.views.steps import at_step, begin, to_next_step
from broker.errors import Invalid, NotFound

NEW_PASSWORD = "accounts/new_password.html"  # noqa: S105 - a template
ENROL = "accounts/enrol.html"
CODES = "accounts/recovery_codes.html"


@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: Request, token: str) -> HttpResponse:
    """Who the link is for. Only going on uses it up, so that no preview or scanner of mails can."""
    try:
        if request.method == "POST":
            response = begin(request, accept_invite(request.origin, token))
        else:
            found = open_invite(token)
            context = {"user": found.user, "expires_at": found.expires_at, "purpose": found.purpose}
            response = render(request, "accounts/invite.html", context)
    except NotFound as error:
        response = render(request, "accounts/invite_over.html", {"early": isinstance(error, NotYet)}, status=404)
    response.headers["Referrer-Policy"] = "strict-origin"  # the token stays out of Referer, the Origin check works
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@at_step(Step.SET_PASSWORD)
def new_password(request: Request, sign_in: SignIn) -> HttpResponse:
    """Choose a password."""
    context = {"username": sign_in.user.username, "enrolled": second_factor.has_any(sign_in.user)}
    if request.method != "POST":
        return render(request, NEW_PASSWORD, {"form": NewPasswordForm(), **context})
    form = NewPasswordForm(request.POST)
    if not form.is_valid():
        return again(request, NEW_PASSWORD, form, context=context)
    try:
        service.set_password(sign_in, form.cleaned_data["new_password"])
    except Invalid as error:
        return again(request, NEW_PASSWORD, form, error, "new_password", context)
    return to_next_step(request, sign_in)


@require_http_methods(["GET", "HEAD", "POST"])
@at_step(Step.ENROL)
def enrol(request: Request, sign_in: SignIn) -> HttpResponse:
    """Make a passkey, or scan the QR code and prove it with a first code; the answer tells the recovery codes."""
    context = {"passkey_form": PasskeyForm(), **totp_context(service.device(sign_in)), **_step(sign_in, 2)}
    if request.method != "POST":
        return render(request, ENROL, {"form": CodeForm(), **context})
    if "credential" in request.POST:
        return _enrol_passkey(request, sign_in, context)
    form = CodeForm(request.POST)
    if not form.is_valid():
        return again(request, ENROL, form, context=context)
    try:
        codes = service.enrol(service.actor(request.origin, sign_in.user), sign_in, form.cleaned_data["code"])
    except Wrong as error:
        return again(request, ENROL, form, error, "code", context)
    return render(request, CODES, {"codes": codes, **_step(sign_in, 3)})


def _enrol_passkey(request: Request, sign_in: SignIn, context: Mapping[str, object]) -> HttpResponse:
    form = PasskeyForm(request.POST)
    context = {**context, "form": CodeForm(), "passkey_form": form}
    if not form.is_valid():
        return again(request, ENROL, form, context=context)
    origin, user_agent = service.actor(request.origin, sign_in.user), request.headers.get("User-Agent", "")
    try:
        codes = service.enrol_passkey(origin, sign_in, form.cleaned_data["credential"], user_agent)
    except Wrong as error:
        return again(request, ENROL, form, error, context=context)
    return render(request, CODES, {"codes": codes, **_step(sign_in, 3)})


def _step(sign_in: SignIn, number: int) -> dict[str, object]:
    """How far somebody is who came by an invite; who came from a provider chose no password before."""
    return {"step": number, "steps": 3} if sign_in.invite else {"step": number - 1, "steps": 2}


@require_http_methods(["GET", "HEAD", "POST"])
@at_step(Step.RECOVERY_CODES)
def recovery_codes(request: Request, sign_in: SignIn) -> HttpResponse:
    """Go on once the codes are kept (`saved`), or make others: nobody can be shown the same ones again."""
    if request.method != "POST":
        return render(request, CODES, {"codes": [], **_step(sign_in, 3)})
    if "saved" not in request.POST:
        codes = service.new_recovery_codes(service.actor(request.origin, sign_in.user), sign_in)
        return render(request, CODES, {"codes": codes, **_step(sign_in, 3)})
    service.codes_saved(sign_in)
    return to_next_step(request, sign_in)


def totp_context(device: TotpDevice) -> dict[str, object]:
    """What the page shows of a device to be enrolled: QR code, the key in groups of four, and a link for phones."""
    uri = device.uri(issuer=settings.POSTERN.name)
    svg = segno.make(uri, error="m").svg_inline(
        scale=4, border=2, svgclass=None, lineclass=None, omitsize=True, title="QR code for your authenticator app"
    )
    seed = device.seed
    return {
        "svg": mark_safe(svg),  # noqa: S308 - drawn by segno: paths and numbers
        "secret": " ".join(seed[at : at + 4] for at in range(0, len(seed), 4)).lower(),
        "uri": uri,
    }
