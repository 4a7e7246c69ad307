"""An app session's cookie that turns up in another network (S08), through the real nginx and decision service."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import LoginSession, Notice
from broker import live as live_state
from tests.real.nginx import Session, WebWorld, web_world

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]
HERE, HOME = "127.0.0.1", "198.51.100.7"


def from_home(world: WebWorld, **fields: Any) -> Session:
    """Alice's session at the wiki, last used at home: each request of a test comes from another network."""
    return world.session("alice", login=world.login("alice", address=HOME, last_address=HOME), **fields)


def moves(world: WebWorld) -> list[tuple[str, str]]:
    return [(event.data["before"], event.data["after"]) for event in world.events("login_session.moved")]


def test_with_end_the_first_request_from_elsewhere_reaches_nothing() -> None:
    """S08: refused, not just recorded; the session is over everywhere, and its owner is told."""
    with web_world(session_address_change="end") as world:
        session = from_home(world)
        for _ in range(2):
            answer = world.request("GET", "/", {"Accept": "text/html"}, session=session)
            assert answer.status == 302
            assert "/launch/wiki" in answer.get("Location")
        assert world.request("POST", "/", session=session, body=b"x").status == 401
        assert world.echo.seen == []
        session.login.refresh_from_db()
        assert session.login.ended_reason == "address-changed"
        assert moves(world) == [(HOME, HERE)]
        assert [notice.kind for notice in Notice.objects.all()] == ["session-ended"]


def test_with_confirm_nothing_opens_before_a_second_factor_was_given() -> None:
    """S08: a page leads to the confirmation, a script is told where it is; then the session goes on."""
    with web_world(session_address_change="confirm") as world:
        session = from_home(world)
        answer = world.request("GET", "/", {"Accept": "text/html"}, session=session)
        assert answer.status == 302
        assert answer.get("Location").startswith(f"{world.env.url}/account/confirm?next=/launch/wiki")
        refused = world.request("POST", "/api", {"Accept": "application/json"}, b"x", session=session)
        assert refused.status == 403
        assert refused.json()["reasons"][0]["reason"] == "mfa-too-old"
        assert "/account/confirm" in refused.json()["confirm_url"]
        assert world.echo.seen == []
        assert world.request("GET", "/public/logo", session=session).status == 200, "as it is for anybody"
        LoginSession.objects.filter(pk=session.login.pk).update(mfa_at=timezone.now())
        live_state.forget()
        world.authz._live.fetch_login(str(session.login.pk))  # as the event of the confirmation makes it do
        assert world.request("GET", "/", session=session).status == 200
        assert moves(world) == [(HOME, HERE)]


def test_a_move_is_on_record_once_and_the_session_goes_on() -> None:
    """S08, by default: the change is an event, the requests are not."""
    with web_world() as world:
        session = from_home(world)
        for _ in range(3):
            assert world.request("GET", "/", session=session).status == 200
        assert moves(world) == [(HOME, HERE)]
        event = world.events("login_session.moved")[0]
        assert (event.actor_name, event.address, event.login_session_id) == ("alice", HERE, str(session.login.pk))
        assert [notice.kind for notice in Notice.objects.all()] == ["address-changed"]


def test_a_token_may_move_about() -> None:
    with web_world(session_address_change="end") as world:
        token = from_home(world, bearer=True).token
        assert world.request("GET", "/", {"Authorization": f"Bearer {token}"}).status == 200
        assert moves(world) == []
