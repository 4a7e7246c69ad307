"""Following the feed: every event once and in order, with and without the wake-up."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
from django.db import transaction

from broker.audit import feed
from broker.audit.event import UserDisabled, UserEnabled
from broker.audit.log import record
from broker.audit.origin import system


class Heard:
    """Collects what a follower is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.events: list[feed.FeedEvent] = []
        self.news = threading.Condition()

    def __call__(self, events: Sequence[feed.FeedEvent]) -> None:
        with self.news:
            self.events.extend(events)
            self.news.notify_all()

    def wait_for(self, count: int) -> list[str]:
        with self.news:
            assert self.news.wait_for(lambda: len(self.events) >= count, timeout=10)
            return [event.name for event in self.events]


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    follower = feed.Follower(feed.newest(), heard)
    follower.start()
    yield heard
    follower.stop()
    follower.join(10)
    assert not follower.is_alive()


@pytest.mark.django_db(transaction=True)
def test_a_follower_hears_everything_by_polling_when_valkey_is_down(heard: Heard) -> None:
    """O04: the wake-up may be lost, the event not. (No Valkey runs here.)"""
    with transaction.atomic():
        record(system("test"), UserDisabled(id="1", label="bob"))
    with transaction.atomic():
        record(system("test"), UserEnabled(id="1", label="bob"))
    assert heard.wait_for(2) == ["user.disabled", "user.enabled"]
    assert heard.events[0].touches == ("user:1",)


@pytest.mark.django_db(transaction=True)
def test_a_follower_does_not_hear_what_was_rolled_back(heard: Heard) -> None:
    with transaction.atomic():
        record(system("test"), UserDisabled(id="1", label="bob"))
        transaction.set_rollback(True)
    with transaction.atomic():
        record(system("test"), UserEnabled(id="2", label="bob"))
    assert heard.wait_for(1) == ["user.enabled"]


@pytest.mark.django_db(transaction=True)
def test_a_follower_goes_on_after_a_failure_of_whoever_it_tells(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is skipped: what could not be taken in is told again, and meanwhile the follower counts as behind."""
    heard, failures = Heard(), [ValueError("damaged"), KeyError("damaged")]

    def fails_twice(events: Sequence[feed.FeedEvent]) -> None:
        if failures:
            raise failures.pop()
        heard(events)

    follower = feed.Follower(feed.newest(), fails_twice)
    follower.start()
    try:
        with transaction.atomic():
            record(system("test"), UserDisabled(id="1", label="bob"))
        assert heard.wait_for(1) == ["user.disabled"]
    finally:
        follower.stop()
        follower.join(10)
    assert "could not be taken in" in caplog.text
