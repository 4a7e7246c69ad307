"""What the API makes of an `Authorization` header, from the header to the row."""

from __future__ import annotations

from accounts import sessions
from accounts.bearer import token_in
from accounts.models import LoginSession


def login_session_of_bearer(header: str) -> LoginSession | None:
    """The live login session of a CLI that the header opens."""
    token = token_in(header)
    return sessions.by_token(token, LoginSession.Kind.CLI) if token else None
