"""Names of accounts on a server: what may stand in a certificate as `login@server`."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")


def is_login(text: str) -> bool:
    """Whether this is a plain account name: at most 32 of letters, digits, `_`, `.`, `-`; `-` and `.` not first."""
    return _LOGIN.fullmatch(text) is not None
