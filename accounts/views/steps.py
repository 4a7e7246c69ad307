"""The sign-in under way in this browser: which step it wants, and its end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect

from accounts import cookies
from accounts.destinations import go_on
from accounts.devices import MAX_AGE, known_device, remember
from accounts.middleware import act_as
from accounts.models import SignIn
from accounts.requests import Request
from accounts.services import sign_in as service
from accounts.services.invites import SIGN_IN_TTL
from accounts.services.sign_in import Step
from broker.errors import NotFound

P = ParamSpec("P")

URLS = {
    Step.SET_PASSWORD: "/sign-in/new-password",
    Step.PASSWORD: "/sign-in/password",
    Step.ENROL: "/sign-in/enrol",
    Step.SECOND_FACTOR: "/sign-in/second-factor",
    Step.RECOVERY_CODES: "/sign-in/recovery-codes",
}


def pending(request: HttpRequest) -> SignIn | None:
    """The sign-in that this browser is in the middle of."""
    token = cookies.token(request, cookies.SIGN_IN)
    return service.find(token) if token else None


def at_step(
    step: Step,
) -> Callable[
    [Callable[Concatenate[Request, SignIn, P], HttpResponse]], Callable[Concatenate[Request, P], HttpResponseBase]
]:
    """A view of one step: it gets the sign-in if that step is due, else the browser is sent to the one that is."""

    def decorate(
        view: Callable[Concatenate[Request, SignIn, P], HttpResponse],
    ) -> Callable[Concatenate[Request, P], HttpResponseBase]:
        @functools.wraps(view)
        def guarded(request: Request, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            sign_in = pending(request)
            if sign_in is None:
                messages.info(request, "That took too long, or was finished elsewhere. Please begin again.")
                return redirect("/sign-in")
            try:
                if service.step_of(sign_in) != step:
                    return to_next_step(request, sign_in)
                return view(request, sign_in, *args, **kwargs)
            except (service.Overtaken, SignIn.DoesNotExist):
                return redirect(request.path)  # and from there to the step that is due, or to the beginning

        return cast(Callable[Concatenate[Request, P], HttpResponseBase], guarded)

    return decorate


def to_next_step(request: Request, sign_in: SignIn) -> HttpResponse:
    """Send the browser to the step that is due; after the last one the login session begins."""
    step = service.step_of(sign_in)
    return _finish(request, sign_in) if step == Step.FINISH else redirect(URLS[step])


def begin(request: Request, token: str) -> HttpResponse:
    """Give the browser the token of its sign-in and lead it on."""
    sign_in = service.find(token)
    if sign_in is None:
        raise NotFound("this sign-in is over", "begin again")
    response = to_next_step(request, sign_in)
    if cookies.SESSION not in response.cookies:  # else it was the last step already
        cookies.put(response, cookies.SIGN_IN, token, max_age=int(SIGN_IN_TTL.total_seconds()))
    return response


def _finish(request: Request, sign_in: SignIn) -> HttpResponse:
    next, user = sign_in.next, sign_in.user
    origin = service.actor(request.origin, user)
    user_agent = request.headers.get("User-Agent", "")
    device = cookies.read(request, cookies.DEVICE)
    session, token = service.finish(
        origin,
        sign_in,
        user_agent,
        replaces=request.login_session,
        new_device=not known_device(device, user.pk),
    )
    act_as(request, session)
    rotate_token(request)
    response = go_on(request, next)
    cookies.put(response, cookies.SESSION, token)
    cookies.put(response, cookies.DEVICE, remember(device, user.pk), max_age=MAX_AGE)
    cookies.drop(response, cookies.SIGN_IN)
    return response
