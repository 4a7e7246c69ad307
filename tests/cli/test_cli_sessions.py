"""sessions: where I am signed in, and asking before ending anything."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from postern.commands.sessions import text
from postern.state import Session

from tests.cli.broker_double import BrokerDouble, iso
from tests.cli.conftest import Ran

Postern = Callable[..., Ran]
HERE, BROWSER, OLD = "1111aaaa-0000", "2222bbbb-0000", "2222cccc-0000"


def session(ident: str, **more: Any) -> dict[str, Any]:
    now = time.time()
    return {
        "id": ident,
        "kind": "cli",
        "device_name": "laptop",
        "address": "192.0.2.7",
        "last_address": "192.0.2.8",
        "signed_in_with": "password and passkey",
        "mfa_at": iso(now - 300),
        "last_seen_at": iso(now - 60),
        "current": False,
        "uses": [],
    } | more


@pytest.fixture
def items(broker: BrokerDouble) -> list[dict[str, Any]]:
    """What the broker says is open."""
    use = {"resource": "grafana", "login": ""}
    found = [
        session(HERE, current=True),
        session(BROWSER, kind="browser", device_name="Firefox on Linux", uses=[use, use]),
        session(OLD),
    ]
    broker.answers["GET /api/v1/sessions"] = (200, {"items": found, "next": None})
    broker.answers[f"DELETE /api/v1/sessions/{BROWSER}"] = (200, {"ends_sessions": 3})
    broker.answers["DELETE /api/v1/sessions"] = (200, {"ends_sessions": 4})
    return found


def deleted(broker: BrokerDouble) -> list[tuple[str, dict[str, str]]]:
    return [(asked.path, asked.query) for asked in broker.asked if asked.method == "DELETE"]


def test_nothing_is_ended_without_a_yes(
    postern: Postern, alice: Session, broker: BrokerDouble, items: list[dict[str, Any]]
) -> None:
    ran = postern("sessions", "end", BROWSER)
    assert ran.code == 2
    assert "end the browser Firefox on Linux, which ends 3 sessions?" in ran.err
    ran = postern("sessions", "end", "--others")
    assert "end your other sign-ins, which ends 4 sessions?" in ran.err
    assert deleted(broker) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((), 2), ((BROWSER, "--others"), 2), (("2222",), 2), (("222",), 1), (("9999aaaa",), 1), (("",), 2)],
)
def test_what_names_no_one_session_ends_none(
    postern: Postern,
    alice: Session,
    broker: BrokerDouble,
    items: list[dict[str, Any]],
    arguments: tuple[str, ...],
    code: int,
) -> None:
    assert postern("sessions", "end", *arguments, "--yes").code == code
    assert deleted(broker) == []


def test_one_is_ended_by_the_beginning_of_its_id(
    postern: Postern, alice: Session, broker: BrokerDouble, items: list[dict[str, Any]]
) -> None:
    ran = postern("sessions", "end", "2222BBBB", "--yes")
    assert (ran.code, ran.out) == (0, "ended 3 sessions\n")
    assert deleted(broker) == [(f"/api/v1/sessions/{BROWSER}", {})]


def test_the_others_are_ended_by_saying_so(
    postern: Postern, alice: Session, broker: BrokerDouble, items: list[dict[str, Any]]
) -> None:
    assert postern("sessions", "end", "--others", "-y").out == "ended 4 sessions\n"
    assert deleted(broker) == [("/api/v1/sessions", {"others": "true"})]


def test_the_list_marks_this_one_and_says_what_is_open(
    postern: Postern, alice: Session, items: list[dict[str, Any]]
) -> None:
    lines = postern("sessions", "ls").out.splitlines()
    assert lines[0].split()[:3] == ["ID", "Device", "Kind"]
    here, browser = (next(line for line in lines if ident in line) for ident in ("1111aaaa", "2222bbbb"))
    assert here.lstrip().startswith("*")
    assert not browser.lstrip().startswith("*")
    assert "password and passkey" in browser
    assert browser.rstrip().endswith("grafana")
    assert [item["id"] for item in json.loads(postern("sessions", "ls", "-o", "json").out)] == [HERE, BROWSER, OLD]


def test_what_a_device_is_called_cannot_drive_the_terminal() -> None:
    assert "\x1b" not in text([session(HERE, device_name="x\x1b]0;owned\x07")])
