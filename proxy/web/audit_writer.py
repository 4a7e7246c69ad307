"""Writing events from processes that must not wait: one thread, which commits what has gathered in one transaction."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction

from accounts.sessions import note_uses
from broker.audit.event import Event
from broker.audit.log import record_each
from broker.audit.origin import Origin
from broker.models import AccessSession

log = logging.getLogger(__name__)

BATCH = 500
SPOOL = 20_000
"""Events kept in memory while the database does not answer; when it is full, nothing more is permitted."""

STUCK_AFTER = 10.0
"""Seconds without a successful write, while there is something to write, after which nothing more is permitted."""

Entry = tuple[Origin, Event]


@dataclass(slots=True)
class _Job:
    """Events to write together. `promise` is told; without one the job is tried until it is written."""

    entries: list[Entry] = field(default_factory=list)
    login_ids: set[str] = field(default_factory=set)
    access_ids: set[str] = field(default_factory=set)
    promise: Future[None] | None = None


class AuditWriter(threading.Thread):
    """The writer. `able()` says whether what is permitted now will be on record."""

    def __init__(self) -> None:
        super().__init__(name="audit-writer", daemon=True)
        self._jobs: queue.Queue[_Job | None] = queue.Queue(SPOOL)
        self._spool: deque[_Job] = deque()
        self._failing_since: float | None = None

    def able(self) -> bool:
        """Whether events are being written, or will be as far as can be known."""
        since = self._failing_since
        if since is not None and time.monotonic() - since > STUCK_AFTER:
            return False
        return self.is_alive() and len(self._spool) + self._jobs.qsize() < SPOOL

    def write(self, origin: Origin, event: Event) -> Future[None]:
        """Write an event; the future is done when it is committed, and fails when it could not be."""
        promise: Future[None] = Future()
        promise.set_running_or_notify_cancel()  # whoever gives up waiting must not take it from the writer's hands
        try:
            self._jobs.put_nowait(_Job([(origin, event)], promise=promise))
        except queue.Full as error:
            promise.set_exception(error)
        return promise

    def keep(self, entries: list[Entry], login_ids: set[str], access_ids: set[str]) -> None:
        """Write events, and that these sessions were used, when possible; tried again until it is."""
        try:
            self._jobs.put_nowait(_Job(entries, login_ids, access_ids))
        except queue.Full:
            log.error("%d audit entries lost: the spool is full", len(entries))

    def stop(self, timeout: float = 5.0) -> None:
        """Write what there is, then end."""
        self._jobs.put(None)
        self.join(timeout)

    def run(self) -> None:
        """Write batch after batch until stopped."""
        try:
            while self._round():
                pass
        finally:
            connection.close()

    def _round(self) -> bool:
        jobs, stopping = self._gather()
        self._spool.extend(job for job in jobs if job.promise is None)
        asked = [job for job in jobs if job.promise is not None]
        waiting = [self._spool[index] for index in range(min(BATCH, len(self._spool)))]
        if asked or waiting:
            self._write(asked, waiting)
        return not stopping or (bool(self._spool) and self._failing_since is None)

    def _gather(self) -> tuple[list[_Job], bool]:
        jobs: list[_Job] = []
        try:
            job = self._jobs.get(timeout=0.5 if not self._spool else 0.2)
            while job is not None:
                jobs.append(job)
                if len(jobs) == BATCH:
                    return jobs, False
                job = self._jobs.get_nowait()
        except queue.Empty:
            return jobs, False
        return jobs, True

    def _write(self, asked: list[_Job], waiting: list[_Job]) -> None:
        try:
            _commit([*asked, *waiting])
        except (DatabaseError, InterfaceError) as error:
            self._failed(error, asked)
            return
        except Exception as error:  # a row that cannot be written must not stop the ones that can
            log.exception("audit entries could not be written")
            self._one_by_one(error, asked, waiting)
            return
        self._failing_since = None
        for _ in waiting:
            self._spool.popleft()
        for job in asked:
            assert job.promise is not None  # noqa: S101
            job.promise.set_result(None)

    def _failed(self, error: Exception, asked: list[_Job]) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
        log.warning("audit entries not written yet: %s", type(error).__name__)
        close_old_connections()
        for job in asked:
            assert job.promise is not None  # noqa: S101
            job.promise.set_exception(error)
        time.sleep(0.2)

    def _one_by_one(self, error: Exception, asked: list[_Job], waiting: list[_Job]) -> None:
        for job in waiting:
            self._spool.popleft()
            try:
                _commit([job])
            except Exception:
                log.error("an audit entry was dropped: %s", [event.name for _, event in job.entries])
        for job in asked:
            assert job.promise is not None  # noqa: S101
            job.promise.set_exception(error)


def _commit(jobs: list[_Job]) -> None:
    now = datetime.now(UTC)
    login_ids = [UUID(ident) for job in jobs for ident in job.login_ids]
    access_ids = {UUID(ident) for job in jobs for ident in job.access_ids}
    with transaction.atomic():
        if login_ids:
            note_uses(sorted(set(login_ids)), now)
        if access_ids:
            AccessSession.objects.filter(pk__in=access_ids, ended_at=None).update(last_used_at=now)
        entries = [entry for job in jobs for entry in job.entries]
        if entries:
            record_each(entries)
