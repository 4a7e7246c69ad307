"""Who makes a request: the login session that its cookie opens, and with it the origin of whatever it causes."""

from __future__ import annotations

import re
from typing import cast

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts import cookies, sessions
from accounts.devices import device_name
from accounts.guards import to_confirmation
from accounts.models import LoginSession
from accounts.places import is_other_browser
from accounts.requests import Request
from accounts.services.moves import end_in_other_browser, note_address, wants_confirmation
from broker.audit.origin import Origin
from broker.middleware import GetResponse

BACKGROUND = "X-Postern-Background"
"""Requests that a page makes by itself carry this header: they do not put off the idle limit."""

_WITHOUT_CONFIRMATION = re.compile(r"/account/confirm(/.*)?|/oidc/[^/]*/callback|/sign-out|/static/.*")
"""Where a session that moved may go: to its second factor, back from the provider that asked for it, and out."""


class LoginSessionMiddleware:
    """Sets `request.login_session`, `request.user` and `request.origin`.

    A session that moved to another network or browser is recorded, held up until confirmed, or ended
    (`POSTERN_SESSION_ADDRESS_CHANGE`).
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = cookies.token(request, cookies.SESSION)
        session = sessions.by_token(token, LoginSession.Kind.BROWSER) if token else None
        if session and not _is_where_it_was(cast(Request, request), session):
            session = None
        act_as(cast(Request, request), session)
        if session and BACKGROUND not in request.headers:
            sessions.note_use(session)
        if session and wants_confirmation(session) and not _WITHOUT_CONFIRMATION.fullmatch(request.path):
            return to_confirmation(request)
        return self.get_response(request)


def _is_where_it_was(request: Request, session: LoginSession) -> bool:
    """Note whence a session is used; False if that, or another browser, ended it."""
    user_agent = request.headers.get("User-Agent", "")
    if is_other_browser(session.user_agent, user_agent):
        end_in_other_browser(origin_of(request, session), session, device_name(user_agent))
        return False
    return note_address(origin_of(request, session), session, request.address)


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
