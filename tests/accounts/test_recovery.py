"""Recovery codes: hashed, shown once, good once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from accounts.authenticators import recovery
from accounts.models import RecoveryCode
from tests.conftest import Clock, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_code_is_good_once(alice: Person) -> None:
    """M13."""
    code = recovery.new_codes(alice.user)[0]
    assert recovery.use(alice.user, code)
    assert not recovery.use(alice.user, code)


def test_of_twenty_at_once_exactly_one_is_right(alice: Person) -> None:
    """M13."""
    code = recovery.new_codes(alice.user)[0]

    def attempt(_: int) -> bool:
        try:
            return recovery.use(alice.user, code)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(attempt, range(20))) == 1


def test_new_codes_kill_the_old_ones(alice: Person) -> None:
    """M13."""
    old = recovery.new_codes(alice.user)
    recovery.new_codes(alice.user)
    assert not any(recovery.use(alice.user, code) for code in old)


def test_another_persons_code_is_wrong(alice: Person, bob: Person) -> None:
    assert not recovery.use(bob.user, recovery.new_codes(alice.user)[0])


def test_only_hashes_are_stored(alice: Person) -> None:
    """M13, S14."""
    codes = recovery.new_codes(alice.user)
    stored = set(RecoveryCode.objects.values_list("code_hash", flat=True))
    assert len(stored) == 10
    assert not any(code in text or code.replace("-", "") in text for code in codes for text in stored)


def test_ten_distinct_codes_of_eighty_bits(alice: Person) -> None:
    """L25."""
    codes = recovery.new_codes(alice.user)
    assert len(set(codes)) == 10
    assert all(len(code.replace("-", "")) * 5 >= 80 for code in codes)


def test_a_code_may_be_typed_in_capitals_and_without_dashes(alice: Person) -> None:
    code = recovery.new_codes(alice.user)[0]
    typed = code.replace("-", " ").upper().replace("0", "O").replace("1", "I")
    assert recovery.use(alice.user, typed)


def test_guessing_codes_is_limited_like_everything_else(alice: Person, clock: Clock) -> None:
    """M13: eight tries."""
    good = recovery.new_codes(alice.user)[0]
    browser = new_client()
    browser.post("/sign-in", {"username": "alice", "password": alice.password})
    url = "/sign-in/second-factor?with=recovery-code"
    answers = [browser.post(url, {"code": "aaaa-bbbb-cccc-dddd"}).status_code for _ in range(8)]
    assert answers == [422] * 5 + [429] * 3
    assert browser.post(url, {"code": good}).status_code == 429
    assert recovery.left(alice.user) == 10, "the right code must not be used up while throttled"
