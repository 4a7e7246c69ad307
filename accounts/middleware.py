"""Who makes a request: the login session that its cookie opens, and with it the origin of whatever it causes."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts import cookies, sessions
from accounts.models import LoginSession
from accounts.requests import Request
from broker.audit.origin import Origin
from broker.middleware import GetResponse

BACKGROUND = "X-Postern-Background"
"""Requests that a page makes by itself carry this header: they do not put off the idle limit."""


class LoginSessionMiddleware:
    """Sets `request.login_session`, `request.user` and `request.origin`."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = cookies.token(request, cookies.SESSION)
        session = sessions.by_token(token, LoginSession.Kind.BROWSER) if token else None
        act_as(cast(Request, request), session)
        if session and BACKGROUND not in request.headers:
            sessions.note_use(session)
        return self.get_response(request)


def act_as(request: Request, session: LoginSession | None) -> None:
    """Make `session` (None: nobody) the one that acts in this request."""
    request.login_session = session
    request.user = session.user if session else AnonymousUser()
    request.origin = origin_of(request, session)


def origin_of(request: Request, session: LoginSession | None) -> Origin:
    """Where what this request causes comes from."""
    if session is None:
        return Origin(address=request.address, request_id=request.request_id)
    return Origin(
        actor_kind="person",
        actor_id=str(session.user.pk),
        actor_name=session.user.username,
        address=request.address,
        request_id=request.request_id,
        login_session_id=str(session.pk),
    )
