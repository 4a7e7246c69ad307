"""Following the audit log: a thread that calls back with each batch of new events, woken by Valkey, else by a poll."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.db.models import Max

from broker.audit.wake import CHANNEL
from broker.models import AuditEvent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """What a follower needs of one event."""

    seq: int
    name: str
    at: datetime
    touches: tuple[str, ...]


BATCH = 5000
_TABLE = AuditEvent._meta.db_table
_SINCE = f"SELECT seq, name, at, touches FROM {_TABLE} WHERE seq > %s ORDER BY seq LIMIT %s"  # noqa: S608 - a constant


def newest() -> int:
    """The `seq` the log has reached."""
    return AuditEvent.objects.aggregate(top=Max("seq"))["top"] or 0


def since(seq: int, limit: int = BATCH) -> list[FeedEvent]:
    """The events after `seq` in order. Written in SQL: every decision at a door with a database waits for it."""
    with connection.cursor() as cursor:
        cursor.execute(_SINCE, [seq, limit])
        rows = cursor.fetchall()
    return [FeedEvent(s, name, _aware(at), tuple(json.loads(touches))) for s, name, at, touches in rows]


def _aware(at: datetime | str) -> datetime:
    """A time as the database gives it: PostgreSQL as such, SQLite as text in UTC."""
    return datetime.fromisoformat(at).replace(tzinfo=UTC) if isinstance(at, str) else at


class Follower(threading.Thread):
    """Calls `on_events` in its own thread with every event after `seq`, in order, none skipped.

    `on_failure` is told when the database has not answered for `patience` seconds, so that its owner can fail closed.
    """

    def __init__(
        self,
        seq: int,
        on_events: Callable[[Sequence[FeedEvent]], None],
        on_failure: Callable[[float], None] | None = None,
        patience: float = 10.0,
    ) -> None:
        super().__init__(name="feed", daemon=True)
        self.seq = seq
        self.caught_up_at = time.monotonic()
        self._on_events = on_events
        self._on_failure = on_failure
        self._patience = patience
        self._stop_asked = threading.Event()
        self._pubsub: redis.client.PubSub | None = None

    def run(self) -> None:
        """Catch up, wait, and so on until stopped."""
        while not self._stop_asked.is_set():
            try:
                self._catch_up()
            except (DatabaseError, InterfaceError) as error:
                self._report(error)
            except Exception:  # a thread that ended would leave its owner without news until the next start
                log.exception("feed: events after %d could not be taken in, trying again", self.seq)
            self._wait()
        connection.close()

    def stop(self) -> None:
        """End the thread at its next wake-up."""
        self._stop_asked.set()

    def _catch_up(self) -> None:
        while events := since(self.seq):
            self._on_events(events)
            self.seq = events[-1].seq
        self.caught_up_at = time.monotonic()

    def _report(self, error: Exception) -> None:
        behind = time.monotonic() - self.caught_up_at
        log.warning("feed: database does not answer (%s), %.0f s behind", type(error).__name__, behind)
        close_old_connections()
        if self._on_failure and behind > self._patience:
            self._on_failure(behind)

    def _wait(self) -> None:
        try:
            if self._pubsub is None:
                client = redis.Redis.from_url(
                    settings.POSTERN.redis, socket_connect_timeout=0.2, socket_timeout=2.0, retry=None
                )
                self._pubsub = client.pubsub()  # type: ignore[no-untyped-call]
                self._pubsub.subscribe(CHANNEL)
            self._pubsub.get_message(timeout=settings.POSTERN.feed_poll)
        except (redis.RedisError, OSError, ValueError):
            self._pubsub = None
            self._stop_asked.wait(settings.POSTERN.feed_poll / 2)
