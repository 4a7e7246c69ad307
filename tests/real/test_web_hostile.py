"""Attacks on the way into an app that need the real parts together."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import urlsplit

import pytest

from accounts.services.login_sessions import rotate_token
from broker.models import AccessSession
from tests.real.nginx import WebWorld, world

__all__ = ["world"]
pytestmark = pytest.mark.real

PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}


def test_nobody_is_signed_in_as_somebody_else_by_a_link(world: WebWorld) -> None:
    """L07, X03: charlie's browser has no state; alice launches for the hash of nothing and sends charlie the link."""
    hers = {"Cookie": f"__Host-postern={rotate_token(world.login('alice'))}"}
    for state in (sha256(b"").hexdigest(), "0" * 64):
        launched = world.request("GET", f"/launch/wiki?state={state}", PAGE | hers, host=world.env.host)
        parts = urlsplit(launched.get("Location"))
        link = f"{parts.path}?{parts.query}"
        for cookies in ({}, {"Cookie": "__Host-postern-state="}, {"Cookie": "__Host-postern-state=x"}):
            answer = world.request("GET", link, PAGE | cookies)
            assert answer.status == 400, answer.headers
            assert answer.all("Set-Cookie") == []
    assert AccessSession.objects.count() == 0
