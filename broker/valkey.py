"""One light connection to Valkey (or Redis) for each thread, for what every call of the API waits for.

redis-py's client takes a connection from a pool for each command, which costs more than the command.
"""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

import redis
from django.conf import settings

PATIENCE = 0.2
"""Seconds to wait for a connection, and for an answer."""
MOST_OWED = 100
"""Replies left unread on a connection before they are read."""
Failures = (redis.RedisError, OSError)


class _Line(threading.local):
    """A thread's connection, made when first used, and how many replies are still to come from it."""

    owed = 0

    def __init__(self) -> None:
        pool = redis.ConnectionPool.from_url(
            settings.POSTERN.redis, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=None
        )
        self.connection: Any = pool.make_connection()


@functools.cache
def _line() -> _Line:
    return _Line()


os.register_at_fork(after_in_child=_line.cache_clear)  # two processes on one connection would read each other's replies


def ask(*words: str | bytes | int) -> Any:
    """The reply to a command. Raises one of `Failures`."""
    line = _line()
    try:
        line.connection.send_command(*words)
        for _ in range(line.owed):
            line.connection.read_response()
        line.owed = 0
        return line.connection.read_response()
    except Failures:
        _hang_up(line)
        raise


def tell(*words: str | bytes | int) -> None:
    """Send a command, perhaps twice, whose reply nobody waits for. Raises one of `Failures` if it cannot be sent."""
    line = _line()
    if line.owed >= MOST_OWED:
        ask("PING")
    try:
        line.connection.send_command(*words)
    except Failures:
        _hang_up(line)  # Valkey may have closed the connection long ago
        line.connection.send_command(*words)
    line.owed += 1


def _hang_up(line: _Line) -> None:
    line.connection.disconnect()
    line.owed = 0
