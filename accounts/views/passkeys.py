"""Passkeys: what a script asks for before the browser asks for the key, and the pages about one's own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import cookies
from accounts.authenticators import passkey, second_factor
from accounts.destinations import go_on, safe_next
from accounts.forms import PasskeyForm, PasskeyNameForm, SignInForm
from accounts.guards import freshly_confirmed, signed_in
from accounts.models import LoginSession, SignIn
from accounts.requests import Request, SignedInRequest
from accounts.services import oidc_sign_in
from accounts.services import passkeys as service
from accounts.services import sign_in as signing_in
from accounts.services.guessing import Wrong
from accounts.services.passkeys import Place, Purpose
from accounts.services.sign_in import Step
from accounts.services.step_up import passkey_to_confirm
from accounts.throttle import Door
from accounts.views.answers import again
from accounts.views.steps import at_step, begin
from broker.errors import Invalid, PosternError, Throttled
from broker.tokens import digest, new_token

SIGN_IN = "accounts/sign_in.html"
LIST = "accounts/passkeys.html"
ADD = "accounts/passkey_add.html"
RENAME = "accounts/passkey_rename.html"
REMOVE = "accounts/passkey_remove.html"
COOKIE_SECONDS = 15 * 60

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def for_our_script(view: View) -> View:
    """Only POSTs that a page of our own origin makes (beside Django's token): what fails is told as JSON."""

    @require_POST
    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.headers.get("Origin") != passkey.origin():
            return _problem(403, "this was not asked for by a page of ours", "reload the page")
        try:
            return view(request, *args, **kwargs)
        except PosternError as error:
            return _problem(409, error.message, error.hint)

    return cast(View, guarded)


# --- what the browser is to do ----------------------------------------------------------------------------------------


@for_our_script
def sign_in_options(request: Request) -> HttpResponse:
    """For a sign-in by a passkey alone: any that the browser knows. The challenge is this browser's."""
    token = cookies.token(request, cookies.PASSKEY) or new_token("")
    place = Place(Purpose.SIGN_IN, browser_hash=digest(token))
    response = JsonResponse(service.request_options(place, None))
    cookies.put(response, cookies.PASSKEY, token, max_age=COOKIE_SECONDS)
    return response


@for_our_script
@at_step(Step.SECOND_FACTOR)
def second_factor_options(request: Request, sign_in: SignIn) -> HttpResponse:
    """For the second step of a sign-in: the passkeys of whoever signs in."""
    return JsonResponse(signing_in.passkey_to_prove(sign_in))


@for_our_script
@at_step(Step.ENROL)
def enrol_options(request: Request, sign_in: SignIn) -> HttpResponse:
    """For the first passkey of whoever comes in."""
    return JsonResponse(signing_in.passkey_to_enrol(sign_in))


@for_our_script
@signed_in
def confirm_options(request: SignedInRequest) -> HttpResponse:
    """For confirming within a session."""
    return JsonResponse(passkey_to_confirm(request.login_session))


@for_our_script
@freshly_confirmed
def add_options(request: SignedInRequest) -> HttpResponse:
    """For one more passkey."""
    return JsonResponse(service.registration_options(_adding(request.login_session), request.user))


# --- signing in with nothing else -------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: Request) -> HttpResponse:
    """A passkey alone, which is two factors: the session begins at once."""
    next = safe_next(request.POST.get("next", ""))
    if request.method != "POST":
        return redirect("/sign-in")
    if request.login_session:
        return go_on(request, next)
    form = PasskeyForm(request.POST)
    context = {"form": SignInForm(), "passkey_form": form, "next": next, "providers": oidc_sign_in.choices()}
    if not form.is_valid():
        return again(request, SIGN_IN, form, context=context)
    browser_hash = digest(cookies.token(request, cookies.PASSKEY))
    door = Door("", request.address)
    try:
        token = signing_in.begin_with_passkey(request.origin, door, browser_hash, form.cleaned_data["credential"], next)
    except (Wrong, Throttled) as error:
        return again(request, SIGN_IN, form, error, context=context)
    response = begin(request, token)
    cookies.drop(response, cookies.PASSKEY)
    return response


# --- my passkeys ------------------------------------------------------------------------------------------------------


@require_safe
@signed_in
def passkeys(request: SignedInRequest) -> HttpResponse:
    """All of mine: what they are called, what they are, when they were used."""
    found = service.passkeys_of(request.user)
    for one in found:
        one.shown_kind = passkey.kind_of(one)
    only = len(found) == 1 and second_factor.kinds_of(request.user) == ("passkey",)
    return render(request, LIST, {"passkeys": found, "only": only, "full": len(found) >= service.MOST})


@require_http_methods(["GET", "HEAD", "POST"])
@freshly_confirmed
def add(request: SignedInRequest) -> HttpResponse:
    """One more passkey, in place of none."""
    next = safe_next(request.GET.get("next", "") or "/account/passkeys")
    context: dict[str, object] = {"name_form": PasskeyNameForm(use_required_attribute=False), "next": next}
    if request.method != "POST":
        return render(request, ADD, {"form": PasskeyForm(), **context})
    form = PasskeyForm(request.POST)
    if not form.is_valid():
        return again(request, ADD, form, context=context)
    credential, name = form.cleaned_data["credential"], request.POST.get("name", "")
    user_agent = request.headers.get("User-Agent", "")
    try:
        made = service.made_here(_adding(request.login_session), request.user, credential, name, user_agent)
        service.store(request.origin, made)
    except (Wrong, Invalid) as error:
        return again(request, ADD, form, error, context=context)
    messages.success(request, f"The passkey {made.name} is added.")
    return go_on(request, next)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def rename(request: SignedInRequest, ident: UUID) -> HttpResponse:
    """Call one of mine something else."""
    found = service.passkey_of(request.user, ident)
    if request.method != "POST":
        form = PasskeyNameForm(initial={"name": found.name})
        return render(request, RENAME, {"form": form, "passkey": found})
    form = PasskeyNameForm(request.POST)
    if not form.is_valid():
        return again(request, RENAME, form, context={"passkey": found})
    try:
        service.rename(request.origin, request.user, ident, form.cleaned_data["name"])
    except Invalid as error:
        return again(request, RENAME, form, error, "name", {"passkey": found})
    messages.success(request, "The passkey has its new name.")
    return redirect("/account/passkeys")


@require_http_methods(["GET", "HEAD", "POST"])
@freshly_confirmed
def remove(request: SignedInRequest, ident: UUID) -> HttpResponse:
    """One of mine opens nothing any more, once asked what that means."""
    found = service.passkey_of(request.user, ident)
    if request.method != "POST":
        return render(request, REMOVE, {"passkey": found})
    name = service.remove(request.origin, request.user, ident)
    messages.success(request, f"The passkey {name} is removed.")
    return redirect("/account/passkeys")


def _adding(session: LoginSession) -> Place:
    return Place(Purpose.REGISTER, login_session=session)


def _problem(status: int, text: str, hint: str) -> JsonResponse:
    problem = {"type": "about:blank", "title": text, "status": status, "detail": f"{text}; {hint}" if hint else text}
    return JsonResponse(problem, status=status, content_type="application/problem+json")
