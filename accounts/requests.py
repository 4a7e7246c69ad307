"""What the middleware adds to a request, for those who read types."""

from __future__ import annotations

from django.http import HttpRequest

from accounts.models import LoginSession, User
from broker.audit.origin import Origin


class Request(HttpRequest):
    """A request with its context; `login_session` is None for nobody."""

    request_id: str
    address: str
    login_session: LoginSession | None
    origin: Origin


class SignedInRequest(Request):
    """A request of somebody signed in, behind `accounts.guards.signed_in`."""

    login_session: LoginSession
    user: User
