"""The CLI's access token: `Authorization: Bearer ptn_cli_…`, good for the JSON API and nothing else."""

from __future__ import annotations

import re

from accounts import sessions
from accounts.models import LoginSession

PREFIX = "ptn_cli_"
_HEADER = re.compile(r"bearer +(ptn_cli_[0-9A-Za-z]{43})", re.IGNORECASE)


def login_session_of_bearer(header: str) -> LoginSession | None:
    """The live login session that an `Authorization` header opens, noted as used; None for anything else."""
    match = _HEADER.fullmatch(header)
    session = sessions.by_token(match[1], LoginSession.Kind.CLI) if match else None
    if session:
        sessions.note_use(session)
    return session
