"""Who reaches an app, and who does not: through real nginx."""

from __future__ import annotations

import pytest

from tests.real.nginx import WebWorld, world

__all__ = ["world"]
pytestmark = pytest.mark.real


def test_nobody_reaches_an_app_without_a_session(world: WebWorld) -> None:
    answer = world.request("GET", "/read/1?x=1", {"Accept": "application/json"})
    assert answer.status == 401
    assert answer.get("Content-Type") == "application/problem+json"
    assert answer.json()["reasons"][0]["reason"] == "not-signed-in"
    assert world.echo.heads == 0


def test_alice_reaches_the_app_and_the_app_knows_her(world: WebWorld) -> None:
    answer = world.request("GET", "/read/1?x=1", session=world.session("alice"))
    assert answer.status == 200
    assert world.echo.last.target == "/read/1?x=1"
    assert world.echo.last.get("X-Forwarded-User") == "alice"
