"""Reading the audit log: filtered, searched and paged in the database; and reading it is itself on record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.crypto import salted_hmac

from broker.audit.event import AuditRead
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.models import AuditEvent
from broker.policy import Subject
from broker.services.decisions import require
from broker.services.pages import Page, bad_cursor, cursor_for, limit_of, position_in
from broker.tokens import same


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events are wanted. `type` is a name or its beginning (`user.sign_in`); every field narrows."""

    type: str = ""
    actor: str = ""
    resource: str = ""
    decision: str = ""
    search: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def words(self) -> str:
        """The query as the log keeps it."""
        asked = {key: value for key, value in asdict(self).items() if value}
        return json.dumps(asked, default=str, ensure_ascii=False)[:2000]


def search_events(
    origin: Origin, subject: Subject | None, query: EventQuery, *, limit: int | None = None, cursor: str = ""
) -> Page[AuditEvent]:
    """A page of events, newest first. Recorded once per query, at its first page. Raises Denied, Invalid."""
    require(origin, subject, "event.list")
    size = limit_of(limit)
    before, mark = _read_cursor(cursor)
    rows = _matching(query)
    if before is not None:
        rows = rows.filter(seq__lt=before)
    found = list(rows.order_by("-seq")[: size + 1])
    if before is None or not same(mark, _mark(origin, query, before)):
        _note(origin, query, "search")  # after the look, so that a search does not find itself
    if len(found) <= size:
        return Page(found)
    last = found[size - 1].seq
    return Page(found[:size], cursor_for(f"{last} {_mark(origin, query, last)}"))


def export_events(origin: Origin, subject: Subject | None, query: EventQuery) -> Iterator[AuditEvent]:
    """Every event of a query, oldest first, streamed. Recorded. Raises Denied at once."""
    require(origin, subject, "event.list")
    _note(origin, query, "export")
    return _matching(query).order_by("seq").iterator(chunk_size=1000)


def _mark(origin: Origin, query: EventQuery, seq: int) -> str:
    """By which the cursor of a search on record is told from one that somebody made up to begin elsewhere unseen."""
    about = f"{origin.actor_id} {seq} {query.words()}"
    return salted_hmac("broker.services.events", about, algorithm="sha256").hexdigest()[:32]


def _read_cursor(cursor: str) -> tuple[int | None, str]:
    """The `seq` a cursor stands for (None: the start) and its mark. Raises Invalid."""
    position = position_in(cursor)
    if not position:
        return None, ""
    match = re.fullmatch(r"([0-9]{1,18})(?: ([0-9a-f]{32}))?", position, re.ASCII)
    if match is None:
        raise bad_cursor()
    return int(match[1]), match[2] or ""


def _note(origin: Origin, query: EventQuery, how: str) -> None:
    with transaction.atomic():
        record(origin, AuditRead(label=how, query=query.words()))


def _matching(query: EventQuery) -> QuerySet[AuditEvent]:
    rows = AuditEvent.objects.all()
    if any("\0" in text for text in (query.type, query.actor, query.resource, query.decision, query.search)):
        return rows.none()  # the log holds none, and PostgreSQL takes none in a query
    if query.type:
        rows = rows.filter(Q(name=query.type) | Q(name__startswith=query.type.rstrip(".*") + "."))
    if query.actor:
        rows = rows.filter(Q(actor_name=query.actor) | Q(actor_id=query.actor))
    if query.resource:
        rows = rows.filter(Q(resource_name=query.resource) | Q(resource_id=query.resource))
    if query.decision:
        rows = rows.filter(decision=query.decision)
    for word in query.search.lower().split()[:8]:
        rows = rows.filter(search__contains=word)
    if query.since:
        rows = rows.filter(at__gte=query.since)
    if query.until:
        rows = rows.filter(at__lt=query.until)
    return rows
