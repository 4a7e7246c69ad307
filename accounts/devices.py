"""The browsers people sign in with: a name for each, and a mark by which one that was here before is known again."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

from django.core import signing

SALT = "accounts.devices"
MAX_AGE = 180 * 86400
"""Seconds after which a browser counts as new."""

MOST_USERS = 5
"""Accounts one browser is known to; the oldest is forgotten first."""

_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def device_name(user_agent: str) -> str:
    """`Firefox on Linux`: what people recognise their browser by. It proves nothing."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "Browser")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser


def known_device(cookie: str, user_id: UUID | None) -> str:
    """The id of this browser if `user_id` completed a sign-in with it before, else nothing."""
    ident, users = _read(cookie)
    return ident if user_id and str(user_id) in users else ""


def remember(cookie: str, user_id: UUID) -> str:
    """The cookie of a browser in which `user_id` has just completed a sign-in."""
    ident, users = _read(cookie)
    kept = [str(user_id), *(user for user in users if user != str(user_id))][:MOST_USERS]
    return signing.dumps({"device": ident or secrets.token_hex(16), "users": kept}, salt=SALT)


def _read(cookie: str) -> tuple[str, list[str]]:
    if not cookie or len(cookie) > 2000:
        return "", []
    try:
        content: dict[str, Any] = signing.loads(cookie, salt=SALT, max_age=MAX_AGE)
    except signing.BadSignature:
        return "", []
    return content["device"], content["users"]
