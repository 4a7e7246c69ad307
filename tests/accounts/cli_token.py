"""The row that a CLI's token opens, once its key is proved."""

from __future__ import annotations

from accounts import sessions
from accounts.models import LoginSession


def login_session_of(token: str) -> LoginSession | None:
    """The live login session of a CLI."""
    return sessions.by_token(token, LoginSession.Kind.CLI)
