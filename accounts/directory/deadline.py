"""A deadline for making a connection: the LDAP library waits for a TLS handshake for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from typing import TypeVar

from accounts.directory.entry import Down
from accounts.directory.hanging_up import hang_up

MOST = 16
"""Connections to one address that may be on their way at a time in a process, hanging ones included."""

T = TypeVar("T")
_ways: dict[str, threading.BoundedSemaphore] = {}
_lock = threading.Lock()


def in_time(url: str, connect: Callable[[], T], close: Callable[[T], None], seconds: float) -> T:
    """What `connect` makes within so many seconds. What comes later is closed. Raises Down, or what `connect` raises.

    It runs in a thread. When that hangs, its connection is hung up: nothing else ends a handshake that is not answered.
    """
    with _lock:
        way = _ways.setdefault(url, threading.BoundedSemaphore(MOST))
    if not way.acquire(blocking=False):
        raise Down("it does not answer, and too many tries hang already")
    made: Future[T] = Future()

    def make() -> None:
        try:
            connection = connect()
        except BaseException as error:
            if made.set_running_or_notify_cancel():
                made.set_exception(error)
        else:
            if made.set_running_or_notify_cancel():
                made.set_result(connection)
            else:
                close(connection)
        finally:
            way.release()

    threading.Thread(target=make, name="directory-connect", daemon=True).start()
    try:
        return made.result(seconds)
    except TimeoutError:
        if made.cancel():
            hang_up(url)
            raise Down("it did not answer in time") from None
        return made.result()
