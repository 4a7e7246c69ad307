"""Waking the feed's followers: one publish on Valkey. Losing it delays (followers poll), it never misses."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from broker import valkey

CHANNEL = "postern:feed"
TELL_EVERY = 60.0
log = logging.getLogger(__name__)
_told_at = -TELL_EVERY


def followers(seq: int) -> None:
    """Tell all followers that the log now reaches `seq`."""
    try:
        valkey.tell("PUBLISH", CHANNEL, seq)
    except valkey.Failures as error:
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
