"""Locks: orders that beat every role. Who or what a lock names may do nothing until it is lifted or ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

    __slots__ = ("_by_target",)

    def __init__(self, locks: Iterable[Lock] = ()) -> None:
        by_target: dict[str, dict[str, tuple[Lock, ...]]] = {}
        for lock in locks:
            names = by_target.setdefault(lock.target, {})
            names[lock.name] = (*names.get(lock.name, ()), lock)
        self._by_target = by_target

    def __iter__(self) -> Iterator[Lock]:
        return (lock for names in self._by_target.values() for locks in names.values() for lock in locks)

    def __bool__(self) -> bool:
        return bool(self._by_target)

    def on(self, attempt: Attempt, grants: Sequence[Grant]) -> Lock | None:
        """The first lock that stops this attempt: on what is used, on who uses it, or on a role they hold."""
        for target, locked in self._by_target.items():
            for name in _INVOLVED[target](attempt, grants):
                if name in locked:
                    for lock in locked[name]:
                        if lock.stands(attempt.context.at):
                            return lock
        return None


Involved = Callable[[Attempt, Sequence[Grant]], Iterable[str]]
"""The names of one kind of target that an attempt involves."""


def _app(attempt: Attempt, grants: Sequence[Grant]) -> Iterable[str]:
    """Administering a locked app stays possible, or nobody could mend it."""
    return (attempt.resource.name,) if attempt.action == APP_REQUEST else ()


def _server(attempt: Attempt, grants: Sequence[Grant]) -> Iterable[str]:
    return (attempt.resource.name,) if attempt.action == SSH_SESSION else ()


def _login(attempt: Attempt, grants: Sequence[Grant]) -> Iterable[str]:
    return (attempt.login,) if attempt.action == SSH_SESSION else ()


def _user(attempt: Attempt, grants: Sequence[Grant]) -> Iterable[str]:
    return (attempt.subject.name,) if attempt.subject is not None else ()


def _group(attempt: Attempt, grants: Sequence[Grant]) -> Iterable[str]:
    return attempt.subject.groups if attempt.subject is not None else ()


def _role(attempt: Attempt, grants: Sequence[Grant]) -> Iterable[str]:
    """Whoever holds a locked role is locked, as in Teleport."""
    return [grant.role for grant in grants if grant.is_held(attempt.context.at)]


def _login_session(attempt: Attempt, grants: Sequence[Grant]) -> Iterable[str]:
    subject = attempt.subject
    return (subject.login.id,) if subject is not None and subject.login is not None else ()


_INVOLVED: Mapping[str, Involved] = {
    "app": _app,
    "server": _server,
    "login": _login,
    "user": _user,
    "group": _group,
    "role": _role,
    "login_session": _login_session,
}

NO_LOCKS = Locks()
