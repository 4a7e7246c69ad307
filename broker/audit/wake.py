"""Waking the feed's followers: one publish on Valkey. Losing it delays (followers poll), it never misses."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Iterator

import redis
from django.conf import settings

CHANNEL = "postern:feed"
TELL_EVERY = 60.0
log = logging.getLogger(__name__)
_told_at = -TELL_EVERY


@functools.cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.POSTERN.redis, socket_timeout=0.2, socket_connect_timeout=0.2, retry=None, health_check_interval=0
    )


def followers(seq: int) -> None:
    """Tell all followers that the log now reaches `seq`."""
    try:
        _client().publish(CHANNEL, str(seq))
    except (redis.RedisError, OSError) as error:
        _tell(type(error).__name__)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """While the set-up works nobody may be awake yet, and that a wake-up is lost is no news."""
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _tell(what: str) -> None:
    """Say it once in a while: every event would say the same."""
    global _told_at
    if log.isEnabledFor(logging.WARNING) and time.monotonic() - _told_at > TELL_EVERY:
        _told_at = time.monotonic()
        log.warning("feed wake-up not sent, followers will poll: %s", what)
