"""Waking the feed's followers: one publish on Valkey. Losing it delays (followers poll), it never misses."""

from __future__ import annotations

import functools
import logging

import redis
from django.conf import settings

CHANNEL = "postern:feed"
log = logging.getLogger(__name__)


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
        log.info("feed wake-up not sent, followers will poll: %s", type(error).__name__)
