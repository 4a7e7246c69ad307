"""Events as JSON lines and CSV. What people typed stays what it is, and becomes neither a formula nor a second line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async

from broker.console.plain import visible
from broker.models import AuditEvent

COLUMNS = (
    "seq", "at", "name", "actor_kind", "actor_id", "actor_name", "resource_kind", "resource_id", "resource_name",
    "decision", "reasons", "address", "request_id", "login_session_id", "access_session_id", "data",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_AT_ONCE = 500


def as_jsonl(event: AuditEvent) -> str:
    """One event as one line of JSON; everything beyond ASCII is escaped, so that no reader sees a line break in it."""
    return json.dumps({column: _value(event, column) for column in COLUMNS}) + "\n"


def as_csv(event: AuditEvent) -> str:
    """One event as one line of CSV."""
    return csv_line(_value(event, column) for column in COLUMNS)


def csv_line(values: Any) -> str:
    """A line of CSV (RFC 4180) in which no cell is a formula to a spreadsheet."""
    line = io.StringIO()
    csv.writer(line).writerow([cell(value) for value in values])
    return line.getvalue()


def cell(value: Any) -> str:
    """A value as the text of a cell: control characters made visible, an apostrophe before what could calculate."""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
    guarded = text.lstrip(" \u00a0\u3000").startswith(_FORMULA)
    return f"'{visible(text)}" if guarded else visible(text)


async def streamed(lines: Iterator[str]) -> AsyncIterator[str]:
    """Lines in pieces, each fetched where the database may be asked, so that a long export fills no memory."""

    def piece() -> str:
        return "".join(islice(lines, _AT_ONCE))

    while text := await sync_to_async(piece)():
        yield text


def _value(event: AuditEvent, column: str) -> Any:
    return event.at.isoformat() if column == "at" else getattr(event, column)
