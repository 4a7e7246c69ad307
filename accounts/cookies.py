"""Our cookies: `__Host-`, so that no other host can set them, and unreadable for scripts."""

from __future__ import annotations

import re

from django.http import HttpRequest
from django.http.response import HttpResponseBase

SESSION = "__Host-postern"
SIGN_IN = "__Host-postern-signin"
DEVICE = "__Host-postern-device"
PROVIDER = "__Host-postern-oidc"
PASSKEY = "__Host-postern-passkey"  # of a browser in which nobody is known yet

_TOKEN = re.compile(r"[0-9A-Za-z]{43}")


def read(request: HttpRequest, name: str) -> str:
    """The value of a cookie; nothing if it is absent, or there more than once: then we cannot know which is ours."""
    header = request.META.get("HTTP_COOKIE", "")
    names = [part.partition("=")[0].strip() for part in header.split(";")]
    return request.COOKIES.get(name, "") if names.count(name) == 1 else ""


def token(request: HttpRequest, name: str) -> str:
    """The token in a cookie; nothing if it does not look like one."""
    value = read(request, name)
    return value if _TOKEN.fullmatch(value) else ""


def put(response: HttpResponseBase, name: str, value: str, max_age: int | None = None) -> None:
    """Set a cookie for this host only."""
    response.set_cookie(name, value, max_age=max_age, path="/", secure=True, httponly=True, samesite="Lax")


def drop(response: HttpResponseBase, name: str) -> None:
    """Make the browser forget a cookie. (`delete_cookie` leaves out what `__Host-` needs to be accepted.)"""
    put(response, name, "", max_age=0)
