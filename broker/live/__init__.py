"""The live state: users, roles, resources, locks and sessions in memory, kept true by the feed.

Everything is loaded at the start but sessions, which are loaded when first asked for. What an event touches is read
anew from the database, so applying an event twice does no harm. Objects are replaced, never changed, so a reader needs
no lock. Looking things up (`peek_*`) is memory only; what is not known must be fetched (`fetch_*`, database) by whoever
may block.
"""

from __future__ import annotations

import threading
import time

from broker.live.state import Live
from broker.live.values import LiveAccess, LiveApp, LiveBinding, LiveLogin, LiveServer, LiveUser

__all__ = [
    "Live",
    "LiveAccess",
    "LiveApp",
    "LiveBinding",
    "LiveLogin",
    "LiveServer",
    "LiveUser",
    "current",
    "forget",
    "known",
]

TIDY_EVERY = 60.0
"""Seconds between two looks for sessions that are over."""

_current: Live | None = None
_tidied_at = 0.0
_making = threading.Lock()


def current() -> Live:
    """This process's live state, caught up with the log: for whoever has a database and must not act on old news."""
    global _current
    if _current is None:
        with _making:
            if _current is None:
                live = Live()
                live.load()
                _current = live
    _current.catch_up()
    _tidy(_current, time.time())
    return _current


def _tidy(live: Live, at: float) -> None:
    """Forget old sessions once in a while."""
    global _tidied_at
    if at - _tidied_at > TIDY_EVERY:
        _tidied_at = at
        live.forget_old(at)


def known() -> Live:
    """This process's live state as it is, for whoever has just caught up by `current()`."""
    return _current or current()


def forget() -> None:
    """Drop this process's state (between tests, and after a fork)."""
    global _current
    _current = None
