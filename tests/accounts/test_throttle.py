"""Guessing limits: one counter for all doors, exact, and never a way to lock the owner out for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from accounts import throttle
from accounts.models import Throttle
from accounts.throttle import Door
from broker.errors import Throttled
from tests.conftest import Clock

pytestmark = pytest.mark.django_db(transaction=True)
ALICE = Door("alice", "192.0.2.1")


def wrong(door: Door, times: int = 1) -> None:
    for _ in range(times):
        assert throttle.is_right(door.keys(), lambda: False)[0] is False


def refused(door: Door) -> float:
    """How long `door` is shut, in seconds. The check must not even be asked."""
    with pytest.raises(Throttled) as error:
        throttle.is_right(door.keys(), lambda: pytest.fail("checked while throttled"))
    return error.value.retry_after


def test_the_sixth_guess_is_not_even_checked(clock: Clock) -> None:
    wrong(ALICE, 5)
    assert refused(ALICE) == 300


def test_every_spelling_pays_into_one_counter(clock: Clock) -> None:
    """L22."""
    for name in ("alice", "ALICE", " alice ", "ａｌｉｃｅ", "Alice"):
        wrong(Door(name, "192.0.2.1"))
    refused(Door("aLiCe", "192.0.2.77"))


def test_guesses_from_many_addresses_pay_into_one_counter(clock: Clock) -> None:
    """M04."""
    for number in range(5):
        wrong(Door("alice", f"192.0.2.{number}"))
    refused(Door("alice", "192.0.2.200"))


def test_one_address_guessing_at_many_accounts_is_stopped_and_others_are_not(clock: Clock) -> None:
    """L01."""
    checked = 0
    for number in range(1000):
        try:
            wrong(Door(f"user{number}", "203.0.113.9"))
            checked += 1
        except Throttled:
            break
    assert checked == throttle.ADDRESS.wrong
    wrong(Door("user999", "192.0.2.1"))


def test_an_ipv6_network_is_one_address(clock: Clock) -> None:
    for number in range(throttle.ADDRESS.wrong):
        wrong(Door(f"user{number}", f"2001:db8::{number:x}"))
    refused(Door("somebody", "2001:db8::ffff"))
    wrong(Door("somebody", "2001:db8:0:1::1"))


def test_the_owners_own_browser_stays_open_while_others_guess(clock: Clock) -> None:
    """M04: nobody is locked out for good."""
    wrong(ALICE, 5)
    refused(ALICE)
    right, _ = throttle.is_right(Door("alice", "192.0.2.1", device="d1").keys(), lambda: True)
    assert right


def test_a_known_browser_has_its_own_limit(clock: Clock) -> None:
    known = Door("alice", "192.0.2.1", device="d1")
    wrong(known, 5)
    refused(known)
    wrong(ALICE)


def test_blocks_grow_to_a_quarter_of_an_hour_and_no_further(clock: Clock) -> None:
    waits = []
    for _ in range(5):
        wrong(ALICE, 5)
        waits.append(refused(ALICE))
        clock.advance(waits[-1] + 1)
    assert waits == [300, 600, 900, 900, 900]


def test_a_quiet_hour_makes_blocks_short_again(clock: Clock) -> None:
    wrong(ALICE, 5)
    clock.advance(300 + 3601)
    wrong(ALICE, 5)
    assert refused(ALICE) == 300


def test_a_right_guess_costs_nothing_and_forgives_nothing(clock: Clock) -> None:
    """A right password between wrong codes must not make the counter begin again."""
    wrong(ALICE, 4)
    for _ in range(20):
        assert throttle.is_right(ALICE.keys(), lambda: True)[0]
    wrong(ALICE)
    refused(ALICE)


def test_no_five_minutes_hold_more_than_five_wrong_guesses(clock: Clock) -> None:
    """M04: the window slides; it does not begin anew at a boundary."""
    times: list[float] = []
    for _ in range(400):
        try:
            wrong(ALICE)
            times.append(clock.now.timestamp())
        except Throttled:
            pass
        clock.advance(7)
    assert all(len([t for t in times if start <= t < start + 300]) <= 5 for start in times)


def test_thirty_wrong_codes_in_a_day_are_the_end_whatever_the_pace(clock: Clock) -> None:
    """M04: expected success below 1 in 10,000 a day."""
    checked = 0
    began = clock.now
    while (clock.now - began).total_seconds() < 80_000:
        try:
            throttle.is_right(ALICE.code_keys(), lambda: False)
            checked += 1
        except Throttled as error:
            clock.advance(min(error.retry_after, 900))
    assert checked == 30
    assert checked * 3 / 1_000_000 < 1e-4


def test_a_hundred_guesses_at_once_are_counted_exactly() -> None:
    """L21: on PostgreSQL and on SQLite alike."""
    checked: list[int] = []

    def check() -> bool:
        checked.append(1)
        return False

    def attempt(_: int) -> bool:
        try:
            throttle.is_right(ALICE.keys(), check)
        except Throttled:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(16) as pool:
        let_in = sum(pool.map(attempt, range(100)))
    assert let_in == len(checked) == 5
    assert len(Throttle.objects.get(key=ALICE.keys()[0][0]).failed_at) == 5
