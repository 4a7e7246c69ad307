"""Templates: what the three kinds of certificate say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broker import ca
from broker.errors import Invalid
from tests.broker.ca.cast import NOW, access, key


@pytest.mark.parametrize("ttl", [0, -1, 1.5, float("nan"), "8h; rm", True, None])
def test_a_life_that_is_no_number_of_seconds_is_refused(ttl: Any) -> None:
    """C06."""
    with pytest.raises(Invalid, match="time to live"):
        access(ttl=ttl)


@pytest.mark.parametrize("ttl", [271, 300, 3600, 2**31, 2**63, 2**64 - 1])
def test_a_life_above_the_maximum_is_cut_to_it(ttl: int) -> None:
    """C06."""
    template = access(ttl=ttl)
    assert template.valid_before - template.valid_after == 300


@pytest.mark.parametrize("until, left", [(NOW + 10, 10), (NOW + 10.9, 10), (NOW - 1, -1), (float("inf"), 120)])
def test_a_certificate_does_not_outlive_the_permit(until: float, left: int) -> None:
    """C06: one whose permit is over already is then refused by lint."""
    template = access(until=until)
    assert template.valid_before - NOW == left
    assert bool(ca.problems_in(template, ca.ACCESS, NOW)) is (left <= 0)


def test_an_end_that_is_no_time_is_refused() -> None:
    with pytest.raises(Invalid):
        access(until=float("nan"))


def test_names_given_as_one_string_are_refused() -> None:
    """C04."""
    with pytest.raises(TypeError):
        ca.host_template(serial=1, server="db-1", names="db-1", key=key(), now=NOW)


def test_nothing_is_permitted_that_was_not_granted() -> None:
    assert access().extensions == ()
    assert access().critical_options == ()


def test_each_grant_gives_its_own_extension() -> None:
    for grant, name in {
        "pty": "permit-pty",
        "forward_ports": "permit-port-forwarding",
        "forward_agent": "permit-agent-forwarding",
        "forward_x11": "permit-X11-forwarding",
    }.items():
        assert access(**{grant: True}).extensions == ((name, ""),)


def test_the_log_gets_all_of_it_as_json() -> None:
    template = access(pty=True, source_address="127.0.0.1")
    assert json.loads(json.dumps(template.to_json())) == {
        "serial": 7,
        "kind": "user",
        "key_id": "postern:access:alice:root@db-1:7",
        "public_key": key().line,
        "fingerprint": key().fingerprint,
        "principals": ["root@db-1"],
        "valid_after": NOW - 30,
        "valid_before": NOW + 120,
        "critical_options": {"source-address": "127.0.0.1"},
        "extensions": {"permit-pty": ""},
    }
