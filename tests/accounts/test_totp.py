"""Codes of an authenticator app: the right one, in its time, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from accounts.authenticators import totp
from accounts.models import TotpDevice
from tests.conftest import Clock, Person

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_code_is_good_once(alice: Person, clock: Clock) -> None:
    """M03."""
    code = alice.code()
    assert totp.is_right(alice.device, code)
    assert not totp.is_right(alice.device, code)


def test_a_stale_object_does_not_bring_a_used_code_back(alice: Person, clock: Clock) -> None:
    """M03."""
    stale = TotpDevice.objects.get(pk=alice.device.pk)
    code = alice.code()
    assert totp.is_right(alice.device, code)
    assert not totp.is_right(stale, code)


def test_an_older_code_is_dead_once_a_newer_one_was_used(alice: Person, clock: Clock) -> None:
    """M03."""
    older = alice.code()
    clock.advance(30)
    assert totp.is_right(alice.device, alice.code())
    assert not totp.is_right(alice.device, older)


def test_of_fifty_at_once_exactly_one_is_right(alice: Person, clock: Clock) -> None:
    """M03."""
    code = alice.code()

    def attempt(_: int) -> bool:
        try:
            return totp.is_right(TotpDevice.objects.get(pk=alice.device.pk), code)
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(attempt, range(50))) == 1


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
def test_a_clock_more_than_a_step_off_is_refused(alice: Person, clock: Clock, steps: int) -> None:
    """M16."""
    assert not totp.is_right(alice.device, alice.code(steps))


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_clock_one_step_off_is_forgiven(alice: Person, clock: Clock, steps: int) -> None:
    """M16."""
    assert totp.is_right(alice.device, alice.code(steps))


@pytest.mark.parametrize("seconds,good", [(29, True), (-29, True), (31, True), (61, False), (-61, False), (90, False)])
def test_only_the_neighbouring_steps_count(alice: Person, clock: Clock, seconds: int, good: bool) -> None:
    """M16: phones ahead and behind, seen from the middle of a step."""
    clock.advance(seconds)
    code = alice.code()
    clock.advance(-seconds)
    assert totp.is_right(alice.device, code) is good


@pytest.mark.parametrize(
    "typed", ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345", "1e5000", "0x1234", "\0" * 6]
)
def test_what_is_not_six_digits_is_wrong(alice: Person, typed: str) -> None:
    assert not totp.is_right(alice.device, typed)


def test_a_code_may_be_typed_in_groups(alice: Person, clock: Clock) -> None:
    code = alice.code()
    assert totp.is_right(alice.device, f" {code[:3]} {code[3:]} ")


def test_a_device_not_yet_confirmed_is_no_factor(alice: Person, clock: Clock) -> None:
    TotpDevice.objects.filter(pk=alice.device.pk).update(confirmed=False)
    assert totp.device_of(alice.user) is None


def test_bobs_code_is_not_alices(alice: Person, bob: Person, clock: Clock) -> None:
    assert not totp.is_right(alice.device, bob.code())


def test_the_seed_is_not_in_the_database_in_clear(alice: Person) -> None:
    """S14."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT seed FROM accounts_totpdevice")
        stored = cursor.fetchone()[0]
    assert alice.device.seed not in stored
    assert stored.startswith("v1:")
