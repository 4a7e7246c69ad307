"""Locks: orders that beat every role. Who or what a lock names may do nothing until it is lifted or ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from broker.policy.attempt import APP_REQUEST, SSH_SESSION, Attempt
from broker.policy.grant import Grant

LockTarget = Literal["user", "group", "role", "server", "app", "login", "login_session"]
LOCK_TARGETS: frozenset[str] = frozenset(get_args(LockTarget))


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock. `name` is the target's (a login session's id); `expires_at` in Unix seconds, None: until lifted."""

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

    def __iter__(self) -> Iterator[Lock]:
        return (lock for locks in self._by_target.values() for lock in locks)

    def __bool__(self) -> bool:
        return bool(self._by_target)

    def on(self, attempt: Attempt, grants: Sequence[Grant]) -> Lock | None:
        """The first lock that stops this attempt: on what is used, on who uses it, or on a role they hold."""
        if not self._by_target:
            return None
        at = attempt.context.at
        for key in _targets(attempt):
            if lock := self._standing(key, at):
                return lock
        if self._roles:
            for grant in grants:
                if grant.is_held(at) and (lock := self._standing(("role", grant.role), at)):
                    return lock
        return None

    def _standing(self, key: tuple[str, str], at: float) -> Lock | None:
        return next((lock for lock in self._by_target.get(key, ()) if lock.stands(at)), None)


def _targets(attempt: Attempt) -> Iterator[tuple[str, str]]:
    """What a lock could name. Administering a locked app or server stays possible, or nobody could mend it."""
    if attempt.action == APP_REQUEST:
        yield "app", attempt.resource.name
    elif attempt.action == SSH_SESSION:
        yield "server", attempt.resource.name
        yield "login", attempt.login
    subject = attempt.subject
    if subject is None:
        return
    yield "user", subject.name
    if subject.login is not None:
        yield "login_session", subject.login.id
    for group in sorted(subject.groups):
        yield "group", group


NO_LOCKS = Locks()
