"""What the decision service puts on record: denials at once, permitted requests summed up once a second.

A denial is committed before its answer leaves; more of the same within a second are counted and follow as one event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from broker.audit.event import AppRequests
from broker.audit.origin import Origin
from broker.policy import Attempt, Denial, Subject
from broker.services.decisions import denial_event
from proxy.web.audit_writer import AuditWriter, Entry

MOST_PATHS = 50
"""Different (method, path) pairs named for one session in one second; the rest are in the total only."""

MOST_KEYS = 5000
"""Sessions (or addresses) told apart within one second; the rest of an app are summed up together."""

_LONGEST_PATH = 300


def origin_of(subject: Subject | None, address: str, request_id: str) -> Origin:
    """Where an event about a web request comes from."""
    if subject is None:
        return Origin(address=address, request_id=request_id)
    return Origin(
        actor_kind="machine" if subject.kind == "machine" else "person",
        actor_id=subject.id,
        actor_name=subject.name,
        address=address,
        request_id=request_id,
        login_session_id=subject.login.id if subject.login else "",
    )


@dataclass(slots=True)
class _Tally:
    """The permitted requests of one access session since the last flush."""

    origin: Origin
    app_id: str
    app_name: str
    access_id: str
    roles: set[str] = field(default_factory=set)
    total: int = 0
    counts: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(slots=True)
class _Repeated:
    """A denial that is on record (or about to be), and how often it came again."""

    origin: Origin
    attempt: Attempt
    denial: Denial
    promise: Future[None]
    again: int = 0


class Ledger:
    """Sums up and merges; lives on the event loop."""

    def __init__(self, writer: AuditWriter) -> None:
        self._writer = writer
        self._tallies: dict[tuple[str, str], _Tally] = {}
        self._denials: dict[tuple[str, str, tuple[str, ...]], _Repeated] = {}
        self._used_logins: set[str] = set()
        self._used_accesses: set[str] = set()

    def permitted(self, attempt: Attempt, request_id: str, access_id: str, roles: Iterable[str]) -> None:
        """Count a permitted request."""
        key = (access_id or attempt.context.address, attempt.resource.id)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._new_tally(key, attempt, request_id, access_id)
        tally.total += 1
        tally.roles.update(roles)
        pair = (attempt.method, attempt.path[:_LONGEST_PATH])
        if pair in tally.counts or len(tally.counts) < MOST_PATHS:
            tally.counts[pair] = tally.counts.get(pair, 0) + 1

    def _new_tally(self, key: tuple[str, str], attempt: Attempt, request_id: str, access_id: str) -> _Tally:
        resource, origin = attempt.resource, origin_of(attempt.subject, attempt.context.address, request_id)
        if len(self._tallies) >= MOST_KEYS and not access_id:
            key, origin = ("", resource.id), Origin()
            if found := self._tallies.get(key):
                return found
        tally = self._tallies[key] = _Tally(origin, resource.id, resource.name, access_id)
        return tally

    async def denied(self, attempt: Attempt, denial: Denial, request_id: str, access_id: str) -> None:
        """Put a denial on record; returns when it is committed, raises when it cannot be."""
        origin = origin_of(attempt.subject, attempt.context.address, request_id)
        who = access_id or attempt.context.address if len(self._denials) < MOST_KEYS else ""
        key = (who, attempt.resource.id, tuple(denial.reasons))
        known = self._denials.get(key)
        if known is None:
            event = denial_event(attempt, denial)
            known = self._denials[key] = _Repeated(origin, attempt, denial, self._writer.write(origin, event))
        else:
            known.again += 1
        if not known.promise.done():
            await asyncio.shield(asyncio.wrap_future(known.promise))
        elif error := known.promise.exception():
            raise error

    def used(self, login_id: str, access_id: str) -> None:
        """Note that sessions were used, to be written down with the next flush."""
        self._used_logins.add(login_id)
        if access_id:
            self._used_accesses.add(access_id)

    def flush(self) -> None:
        """Hand everything gathered to the writer."""
        entries: list[Entry] = [(tally.origin, _requests(tally)) for tally in self._tallies.values()]
        for repeated in self._denials.values():
            if repeated.again:
                event = denial_event(repeated.attempt, repeated.denial, repeated.again)
                entries.append((repeated.origin, event))
        logins, accesses = self._used_logins, self._used_accesses
        self._tallies, self._denials, self._used_logins, self._used_accesses = {}, {}, set(), set()
        if entries or logins or accesses:
            self._writer.keep(entries, logins, accesses)


def _requests(tally: _Tally) -> AppRequests:
    return AppRequests(
        id=tally.app_id,
        label=tally.app_name,
        decision="permit",
        access_session_id=tally.access_id,
        total=tally.total,
        requests=tuple([method, path, count] for (method, path), count in tally.counts.items()),
        roles=tuple(sorted(tally.roles)),
    )
