"""Making planned changes: every right asked first, then all of them or none, each on record, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from broker.audit.event import PolicyApplied
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents import Spec
from broker.errors import Conflict, Denied
from broker.policy import Denial, Reason, Subject
from broker.services.administrators import one_must_remain
from broker.services.changes import Change, Verb
from broker.services.decisions import require
from broker.services.delegation import OwnRights, only_full_administrators, refusal
from broker.services.impact import Impact
from broker.services.kinds import CONNECTOR, KINDS, ORDER

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Planned:
    """One change to make. `spec` is what shall be; None to remove it."""

    change: Change
    spec: Spec | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was changed (or would be, unless `applied`) and how many sessions that ends."""

    changes: tuple[Change, ...]
    applied: bool
    unchanged: int = 0
    ends_sessions: int = 0


class _Raised(Exception):
    """The change would raise rights; leaves the transaction so that it is undone before the refusal is recorded."""


def enact(
    origin: Origin,
    subject: Subject | None,
    planned: Sequence[Planned],
    *,
    dry_run: bool = False,
    summary: bool = False,
    unchanged: int = 0,
) -> Outcome:
    """Make the changes, or with `dry_run` find out what they would do. No subject means the system itself.

    Raises `Denied` (recorded), `Conflict`, and `Invalid`; then nothing has changed.
    """
    _require_all(origin, subject, planned)
    ordered = _in_order(planned)
    rights, impact = OwnRights(origin, subject), Impact()
    try:
        with transaction.atomic():
            with one_must_remain():
                for item in ordered:
                    _write(origin, item)
                if why := rights.raised_by_change():
                    raise _Raised(why)
                ends = impact.count()
            if summary and ordered:
                record(origin, _summary(ordered))
            if dry_run:
                transaction.set_rollback(True)
    except _Raised as raised:
        first = planned[0].change
        raise refusal(origin, subject, action_of(first.kind, first.change), first.name, str(raised)) from None
    except IntegrityError as error:
        log.info("changes collided: %s", type(error).__name__)
        raise Conflict("somebody else changed the same things meanwhile", "nothing was changed: try again") from None
    return Outcome(tuple(item.change for item in ordered), not dry_run, unchanged, ends)


def action_of(kind: str, verb: Verb) -> str:
    """The administrative action for a change of a document's kind."""
    return f"{KINDS[kind].admin}.{verb}"


def _require_all(origin: Origin, subject: Subject | None, planned: Sequence[Planned]) -> None:
    if subject is None and origin.actor_kind == "system":
        return
    for item in planned:
        action = action_of(item.change.kind, item.change.change)
        require(origin, subject, action, item.change.name)
        if KINDS[item.change.kind].admin == CONNECTOR:
            only_full_administrators(origin, subject, action, item.change.name)
    if subject is None:
        raise Denied(Denial((Reason.NOT_SIGNED_IN,)), "nobody is signed in", "sign in")


def _in_order(planned: Sequence[Planned]) -> list[Planned]:
    """What is made before what names it; what is removed the other way round, and after all that stays is right."""
    written = sorted((item for item in planned if item.spec is not None), key=lambda i: ORDER[i.change.kind])
    removed = sorted((item for item in planned if item.spec is None), key=lambda i: -ORDER[i.change.kind])
    return [*written, *removed]


def _write(origin: Origin, item: Planned) -> None:
    kind = KINDS[item.change.kind]
    if item.spec is not None:
        kind.write(origin, item.spec)
    else:
        kind.remove(origin, item.change.name)


def _summary(planned: Sequence[Planned]) -> PolicyApplied:
    made = [item.change.change for item in planned]
    return PolicyApplied(
        label="apply", created=made.count("create"), updated=made.count("update"), deleted=made.count("delete")
    )
