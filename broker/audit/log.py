"""The only writer of the audit log: `record()`, in the transaction of what it records. No event, no action.

`seq` is gapless and in commit order: from numbering to commit one writer at a time (PostgreSQL: advisory lock; SQLite:
the write lock that BEGIN IMMEDIATE took). Followers may therefore ask for `seq > last` and miss nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from broker.audit import wake
from broker.audit.event import Event
from broker.audit.origin import Origin
from broker.models import AuditEvent

_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")  # PostgreSQL takes no NUL, UTF-8 no half of a surrogate pair
_ADVISORY_LOCK = 0x706F7374  # "post"
_TABLE = AuditEvent._meta.db_table
_FIELDS = tuple(field.attname for field in AuditEvent._meta.concrete_fields)
_TOP = f"SELECT COALESCE(MAX(seq), 0) FROM {_TABLE}"  # noqa: S608 - a constant
_INSERT = f"INSERT INTO {_TABLE} ({', '.join(_FIELDS)}) VALUES "  # noqa: S608 - a constant
_JSON = ("reasons", "data", "touches")
_VALUES = f"({', '.join(['%s'] * len(_FIELDS))})"


def record(origin: Origin, *events: Event) -> int:
    """Write events in order; returns the last one's `seq`. Call it late: it holds the log until the commit.

    Raises TransactionManagementError outside a transaction: an event must stand or fall with what it records.
    """
    return record_each([(origin, event) for event in events])


def record_each(entries: Sequence[tuple[Origin, Event]]) -> int:
    """The same for events of several origins, under consecutive numbers."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("record() belongs in the transaction of what it records")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Two statements in one journey: the second sees what was committed while the first one waited.
            cursor.execute(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK}); {_TOP}")
            cursor.nextset()
        else:
            cursor.execute(_TOP)
        seq: int = cursor.fetchone()[0]
        # Plain SQL: the log is written for all that happens, and the ORM would take most of that time.
        cursor.execute(_INSERT + ", ".join([_VALUES] * len(entries)), list(_parameters(entries, seq)))
    last: int = seq + len(entries)
    transaction.on_commit(lambda: wake.followers(last), robust=True)
    return last


def _parameters(entries: Sequence[tuple[Origin, Event]], seq: int) -> Iterable[Any]:
    """The values of all rows one after another, as this database wants them."""
    at = connection.ops.adapt_datetimefield_value(timezone.now())
    for number, (origin, event) in enumerate(entries, start=seq + 1):
        row = _row(origin, event)
        row |= {"seq": number, "at": at}
        for name in _JSON:
            row[name] = connection.ops.adapt_json_value(row[name], None)
        yield from (row[name] for name in _FIELDS)


def _row(origin: Origin, event: Event) -> dict[str, Any]:
    kind, resource_id, resource_name = event.resource()
    data = {key: _clean(value) for key, value in event.data().items()}
    return {
        "name": event.name,
        "actor_kind": origin.actor_kind,
        "actor_id": origin.actor_id,
        "actor_name": _cut(origin.actor_name),
        "resource_kind": kind,
        "resource_id": resource_id,
        "resource_name": _cut(resource_name),
        "decision": event.decision,
        "reasons": _clean(list(event.reasons)),
        "address": origin.address[:64],
        "request_id": origin.request_id[:64],
        "login_session_id": origin.login_session_id,
        "access_session_id": event.access_session_id,
        "data": data,
        "touches": list(event.touches()),
        "search": _search_text(origin, event, resource_name, data),
    }


def _cut(text: str) -> str:
    return _UNKEEPABLE.sub("�", text)[:200]


def _clean(value: Any) -> Any:
    """A value without what a database cannot keep, or a refusal that quotes a caller would be refused itself."""
    match value:
        case str():
            return _UNKEEPABLE.sub("�", value)
        case list() | tuple():
            return [_clean(item) for item in value]
        case dict():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case _:
            return value


def _search_text(origin: Origin, event: Event, resource_name: str, data: dict[str, object]) -> str:
    words = [event.name, origin.actor_name, resource_name, origin.address, *event.reasons, origin.request_id]
    text = " ".join([*words, json.dumps(data, ensure_ascii=False)])
    return _UNKEEPABLE.sub("�", text).lower()[:20_000]
