"""Locks: orders that beat every role. Who or what a lock names may do nothing until it is lifted or ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from broker.policy.attempt import APP_REQUEST, SSH_SESSION, Attempt
from broker.policy.grant import Grant

LockTarget = Literal["user", "group", "role", "server", "app", "login", "login_session"]
LOCK_TARGETS: frozenset[str] = frozenset(get_args(LockTarget))


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock. `name` is the target's name (for a login session its id); `expires_at` in Unix seconds, None: until lifted."""

    id: str
    target: LockTarget
    name: str
    expires_at: float | None = None
    message: str = ""

    def stands(self, at: float) -> bool:
        return self.expires_at is None or at < self.expires_at


class Locks:
    """All locks, indexed by target for quick look-up. Immutable: make a new one when a lock comes or goes."""

    __slots__ = ("_by_target", "_roles")

    def __init__(self, locks: Iterable[Lock] = ()) -> None:
        by_target: dict[tuple[str, str], tuple[Lock, ...]] = {}
        for lock in locks:
            key = (lock.target, lock.name)
            by_target[key] = (*by_target.get(key, ()), lock)
        self._by_target = by_target
        self._roles = any(target == "role" for target, _ in by_target)

    def __iter__(self) -> Iterable[Lock]:  # pragma: no cover - replaced below
        return (lock for locks in self._by_target.values() for lock in locks)


NO_LOCKS = Locks()
