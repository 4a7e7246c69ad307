"""A proof of possession may come once: which ones came, in this process and, while Valkey answers, in all of them.

Without Valkey a process knows only those that it saw itself, and the API goes on: a proof that somebody captured is
good for one method, address and token, for two minutes at most.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time

from accounts.dpop import WINDOW, Proof
from broker import valkey

KEEP = 2 * WINDOW + 1
"""Seconds a proof is remembered: from the first to the last moment at which its `iat` is good."""
REST = 5.0
"""Seconds that Valkey is left alone after it failed."""
log = logging.getLogger(__name__)


class Memory:
    """Proofs seen by this process, in two halves that take turns: nothing is kept longer than twice `KEEP`."""

    def __init__(self) -> None:
        self._newer: set[str] = set()
        self._older: set[str] = set()
        self._began = 0.0
        self._lock = threading.Lock()

    def first_use(self, key: str, now: float) -> bool:
        """Note a use; False if there was one."""
        with self._lock:
            if now - self._began > KEEP:
                self._older, self._newer, self._began = self._newer, set(), now
            if key in self._newer or key in self._older:
                return False
            self._newer.add(key)
            return True


_memory = Memory()
_shared_again_at = 0.0


def first_use(proof: Proof, now: float) -> bool:
    """Note the use of a good proof at `now` (Unix seconds); False if it came before."""
    key = f"{proof.thumbprint}.{proof.identifier}"
    return _memory.first_use(key, now) and _first_use_anywhere(key)


def _first_use_anywhere(key: str) -> bool:
    """Whether no process noted this one; True while nobody can be asked."""
    global _shared_again_at
    if time.monotonic() < _shared_again_at:
        return True
    name, ours = f"postern:proof:{key}", secrets.token_bytes(8)
    note = ("SET", name, ours, "NX", "EX", KEEP)
    try:
        return valkey.ask(*note) is not None
    except valkey.Failures:
        pass  # a connection that was closed while idle, or more
    try:
        return valkey.ask(*note) is not None or valkey.ask("GET", name) == ours  # the first try may have noted it
    except valkey.Failures as error:
        _shared_again_at = time.monotonic() + REST
        log.warning("proofs are remembered by this process alone for %d s: %s", REST, type(error).__name__)
    return True
