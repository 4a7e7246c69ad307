"""What a request to an app carries of ours: the app session's cookie, the state of a sign-in, an app token.

Our cookies and tokens are taken off before the request goes on to the app.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

APP_COOKIE = "__Host-postern-app"
STATE_COOKIE = "__Host-postern-state"
TOKEN_PREFIX = "ptn_app_"  # noqa: S105 - what tokens begin with, not one

_OURS = "__host-postern"
_TOKEN = re.compile(r"[0-9A-Za-z]{43}")
_BEARER = re.compile(r"bearer +(ptn_app_[0-9A-Za-z]{43})", re.IGNORECASE)
_TOKEN_MARK = re.compile(r"ptn_", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cookies:
    """A `Cookie` header taken apart: our token and state (empty if absent or doubtful), and what is the app's."""

    session: str = ""
    state: str = ""
    rest: str = ""


def read_cookies(header: str) -> Cookies:
    """Take our cookies out. One of ours that is there twice counts as absent: we cannot know which is ours."""
    if _OURS not in header.lower():
        return Cookies(rest=header)
    found: dict[str, list[str]] = {APP_COOKIE: [], STATE_COOKIE: []}
    rest = []
    for part in header.split(";"):
        name, _, value = part.partition("=")
        name = name.strip()
        if name in found:
            found[name].append(value.strip())
        elif _OURS not in part.lower():
            rest.append(part.strip())
    return Cookies(_only(found[APP_COOKIE]), _only(found[STATE_COOKIE]), "; ".join(part for part in rest if part))


def _only(values: list[str]) -> str:
    return values[0] if len(values) == 1 and _TOKEN.fullmatch(values[0]) else ""


@dataclass(frozen=True, slots=True)
class Bearer:
    """An `Authorization` header: our app token if it is one, and whether it was meant for us at all."""

    token: str = ""
    ours: bool = False


def read_authorization(header: str) -> Bearer:
    """Our token in the header. Whatever holds the mark of our tokens is ours, well-formed or not, and never goes on."""
    if not header or not _TOKEN_MARK.search(header):
        return Bearer()
    match = _BEARER.fullmatch(header)
    return Bearer(match[1] if match else "", True)
