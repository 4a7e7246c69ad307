"""What a request to an app carries of ours: the app session's cookie, the state of a sign-in, an app token.

Our cookies and tokens are taken off before the request goes on to the app.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from broker.tokens import digest

APP_COOKIE = "__Host-postern-app"
STATE_COOKIE = "__Host-postern-state"
TOKEN_PREFIX = "ptn_app_"  # noqa: S105 - what tokens begin with, not one

_OURS = "__host-postern"
_WORTH_KEEPING = 2048
_TOKEN = re.compile(r"[0-9A-Za-z]{43}")
_BEARER = re.compile(r"bearer +(ptn_app_[0-9A-Za-z]{43})", re.IGNORECASE)
_TOKEN_MARK = re.compile(r"ptn_", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cookies:
    """A `Cookie` header taken apart: our token's hash and state (empty if absent or doubtful), and the app's."""

    session_hash: str = ""
    state: str = ""
    rest: str = ""


def read_cookies(header: str) -> Cookies:
    """Take our cookies out. One of ours that is there twice counts as absent: we cannot know which is ours."""
    return _read_known(header) if len(header) <= _WORTH_KEEPING else _read(header)


@lru_cache(maxsize=4096)
def _read_known(header: str) -> Cookies:
    """A browser sends the same header again and again; taking it apart depends on nothing else."""
    return _read(header)


def _read(header: str) -> Cookies:
    if _OURS not in header.lower():
        return Cookies(rest=header)
    found: dict[str, list[str]] = {APP_COOKIE: [], STATE_COOKIE: []}
    kept = []
    for part in header.split(";"):
        name, _, value = part.partition("=")
        name = name.strip()
        if name in found:
            found[name].append(value.strip())
        elif _OURS not in part.lower():
            kept.append(part.strip())
    session = _only(found[APP_COOKIE])
    rest = "; ".join(part for part in kept if part)
    return Cookies(digest(session) if session else "", _only(found[STATE_COOKIE]), rest)


def _only(values: list[str]) -> str:
    return values[0] if len(values) == 1 and _TOKEN.fullmatch(values[0]) else ""


@dataclass(frozen=True, slots=True)
class Bearer:
    """An `Authorization` header: our app token's hash if it is one, and whether it was meant for us at all."""

    token_hash: str = ""
    ours: bool = False


def read_authorization(header: str) -> Bearer:
    """Our token in the header. Whatever holds the mark of our tokens is ours, well-formed or not, and never goes on."""
    if not header or not _TOKEN_MARK.search(header):
        return Bearer()
    match = _BEARER.fullmatch(header)
    return Bearer(digest(match[1]) if match else "", True)
