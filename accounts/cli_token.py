"""The CLI's access token: `Authorization: DPoP ptn_cli_…`, good for the JSON API with a proof of its key (RFC 9449)."""

from __future__ import annotations

import re

PREFIX = "ptn_cli_"
_HEADER = re.compile(r"dpop +(ptn_cli_[0-9A-Za-z]{43})", re.IGNORECASE)


def token_in(header: str) -> str:
    """The CLI's access token in an `Authorization` header; nothing if it does not look like one."""
    match = _HEADER.fullmatch(header)
    return match[1] if match else ""
