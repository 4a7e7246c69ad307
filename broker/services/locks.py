"""Locks: stopping a user, group, role, server, app, login or login session at once, and lifting that again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Group, LoginSession, User
from accounts.names import name_key
from broker.audit.event import LockCreated, LockLifted
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Conflict, Invalid, NotFound, Problem
from broker.models import App, Lock, Role, Server
from broker.policy import Subject
from broker.policy.lock import LOCK_TARGETS
from broker.policy.login import is_login
from broker.services.administrators import one_must_remain
from broker.services.decisions import require
from broker.services.impact import Impact

MAX_TTL = timedelta(days=3650).total_seconds()


@dataclass(frozen=True, slots=True)
class LockPlaced:
    """A lock and how many sessions it ended."""

    lock: Lock
    ends_sessions: int


def create_lock(
    origin: Origin,
    subject: Subject | None,
    target_kind: str,
    target_name: str,
    *,
    ttl: float | None = None,
    reason: str = "",
    dry_run: bool = False,
) -> LockPlaced:
    """Stop what is named until the lock is lifted or, with `ttl` (seconds), ends. Raises Denied, Invalid, Conflict.

    The last administrator cannot be locked: nobody could lift that again.
    """
    require(origin, subject, "lock.create", f"{target_kind}:{target_name}"[:200])
    if ttl is not None and not 0 < ttl <= MAX_TTL:
        raise _bad("ttl", "a lock lasts longer than nothing and at most ten years")
    if not reason.strip() or len(reason) > 500 or not reason.isprintable():
        raise _bad("reason", "say in one line why, in 500 characters at most")
    ident, name = _target(target_kind, target_name)
    impact = Impact()
    with transaction.atomic():
        with one_must_remain():
            lock = Lock.objects.create(
                target_kind=target_kind,
                target_id=ident,
                target_name=name,
                reason=reason,
                created_by=origin.actor_name[:64],
                expires_at=timezone.now() + timedelta(seconds=ttl) if ttl else None,
            )
            record(origin, LockCreated(id=str(lock.pk), **_about(lock)))
            ends = impact.count()
        if dry_run:
            transaction.set_rollback(True)
    return LockPlaced(lock, ends)


def lift_lock(origin: Origin, subject: Subject | None, lock_id: UUID) -> Lock:
    """Take a lock away. Raises Denied, NotFound, and Conflict if it is gone already."""
    require(origin, subject, "lock.delete", ident=str(lock_id))
    with transaction.atomic():
        lock = Lock.objects.select_for_update().filter(pk=lock_id).first()
        if lock is None:
            raise NotFound("there is no such lock", "list them with: postern admin locks ls")
        if lock.lifted_at:
            raise Conflict("this lock is lifted already")
        lock.lifted_at, lock.lifted_by = timezone.now(), origin.actor_name[:64]
        lock.save(update_fields=["lifted_at", "lifted_by"])
        record(origin, LockLifted(id=str(lock.pk), **_about(lock)))
    return lock


def list_locks(origin: Origin, subject: Subject | None) -> list[Lock]:
    """The locks that stand, newest first. Raises Denied."""
    require(origin, subject, "lock.list")
    return list(Lock.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), lifted_at=None))


def _about(lock: Lock) -> dict[str, Any]:
    return {
        "label": f"{lock.target_kind}:{lock.target_name}",
        "target_kind": lock.target_kind,
        "target_name": lock.target_name,
        "why": lock.reason,
        "expires_at": _text(lock.expires_at),
    }


def _text(at: datetime | None) -> str:
    return at.isoformat() if at else ""


def _target(kind: str, name: str) -> tuple[str, str]:
    """The id and the name under which decisions meet what is to be locked. Raises Invalid or NotFound."""
    if kind not in LOCK_TARGETS:
        near = get_close_matches(kind, LOCK_TARGETS, 1)
        hint = f"did you mean {near[0]!r}?" if near else "there are " + ", ".join(sorted(LOCK_TARGETS))
        raise Invalid(f"{kind[:40]!r} cannot be locked", hint, [Problem("not a kind of target", path="target.kind")])
    if kind == "login":
        if not is_login(name):
            raise _bad("target.name", f"{name[:40]!r} is not a login")
        return name, name
    found = _row(kind, name)
    if found is None:
        raise NotFound(f"there is no {kind.replace('_', ' ')} {name[:200]!r}")
    return str(found.pk), str(found.pk) if kind == "login_session" else str(found)


def _row(kind: str, name: str) -> User | Group | Role | Server | App | LoginSession | None:
    match kind:
        case "user":
            return User.objects.by_name(name)
        case "group":
            return Group.objects.filter(name_key=name_key(name)).first()
        case "role":
            return Role.objects.filter(name=name).first()
        case "server":
            return Server.objects.filter(name=name).first()
        case "app":
            return App.objects.filter(name=name).first()
        case _:
            return LoginSession.objects.filter(pk=_uuid(name), ended_at=None).first()


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _bad("target.name", "name a login session by its id") from None


def _bad(path: str, message: str) -> Invalid:
    return Invalid(message, "", [Problem(message, path=path)])
