"""Every spelling of a name is one account."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.names import is_name, name_key
from accounts.services.users import create_user
from broker.errors import Conflict, Invalid
from tests.conftest import TESTS, Person

LOOKALIKES = [
    "аlice",  # Cyrillic a
    "alıce",  # dotless i
    "alice\0",
    "alice\u200b",
    "a lice",
    "-alice",
    "alice.",
    "ali\u00adce",
    "",
    "a" * 33,
    "root@db-1",
    "<b>alice</b>",
    "../alice",
    "Alice",
]
SPELLINGS = ["ALICE", " alice", "alice ", "Alice", "ａｌｉｃｅ", "aliCE\t"]  # the fifth in full width


@pytest.mark.parametrize("name", LOOKALIKES)
def test_names_that_look_like_another_cannot_be_made(name: str) -> None:
    """L16, X09."""
    assert not is_name(name)


@pytest.mark.parametrize("name", LOOKALIKES)
def test_no_service_makes_such_a_user(db: None, name: str) -> None:
    """L16, X09."""
    with pytest.raises(Invalid):
        create_user(TESTS, name)


@pytest.mark.parametrize("typed", SPELLINGS)
def test_every_spelling_finds_the_same_account(alice: Person, typed: str) -> None:
    """L18."""
    assert User.objects.by_name(typed) == alice.user


@pytest.mark.parametrize("typed", ["alıce", "аlice", "alice\0", "alice@evil"])
def test_what_is_only_similar_finds_nobody(alice: Person, typed: str) -> None:
    """L16."""
    assert User.objects.by_name(typed) is None


def test_the_kelvin_sign_is_a_k() -> None:
    """L16: U+212A folds to k, so that it is the same account, not a second one."""
    assert name_key("\u212aim") == "kim"


def test_a_second_account_of_the_same_key_is_refused_by_the_database(alice: Person) -> None:
    """L16."""
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username="ALICE")


def test_a_second_account_of_the_same_name_is_a_conflict(alice: Person) -> None:
    with pytest.raises(Conflict):
        create_user(TESTS, "alice")


@pytest.mark.parametrize("name", ["alice", "a", "a.b_c-d", "build-bot", "7of9"])
def test_plain_names_are_good(name: str) -> None:
    assert is_name(name)
