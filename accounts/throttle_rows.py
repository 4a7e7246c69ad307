"""The counters of guesses as rows, in plain SQL: every guess at any door waits for them, twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from accounts.models import Throttle

_TABLE = Throttle._meta.db_table
_INSERT = f'INSERT INTO {_TABLE} ("key", failed_at, blocks, updated_at) VALUES '  # noqa: S608 - a constant
_SELECT = f'SELECT "key", failed_at, blocks, blocked_until FROM {_TABLE} WHERE "key" IN '  # noqa: S608 - a constant
_UPDATE = f'UPDATE {_TABLE} SET failed_at = %s, blocks = %s, blocked_until = %s, updated_at = %s WHERE "key" = %s'  # noqa: S608 - a constant


@dataclass(slots=True)
class Row:
    """One counter: when it was guessed under the key (Unix seconds), how often it was blocked, and until when it is."""

    key: str
    failed_at: list[float]
    blocks: int
    blocked_until: datetime | None


def locked(names: Sequence[str], now: datetime) -> dict[str, Row]:
    """The rows of these keys, made where missing, locked in one order so that no two guesses wait for each other.

    In a transaction.
    """
    keys = sorted(names)
    at = connection.ops.adapt_datetimefield_value(now)
    nothing = connection.ops.adapt_json_value([], None)
    made = [value for key in keys for value in (key, nothing, 0, at)]
    with connection.cursor() as cursor:
        cursor.execute(f"{_INSERT}{', '.join(['(%s, %s, %s, %s)'] * len(keys))} ON CONFLICT DO NOTHING", made)
        lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
        cursor.execute(f'{_SELECT}({", ".join(["%s"] * len(keys))}) ORDER BY "key"{lock}', keys)
        return {key: Row(key, json.loads(failed), blocks, _aware(until)) for key, failed, blocks, until in cursor}


def write(rows: Iterable[Row], now: datetime) -> None:
    """Keep what the rows say now."""
    ops = connection.ops
    at = ops.adapt_datetimefield_value(now)
    values: list[Any] = [
        [ops.adapt_json_value(row.failed_at, None), row.blocks, _adapted(row.blocked_until), at, row.key]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_UPDATE, values)


def _adapted(at: datetime | None) -> object:
    return connection.ops.adapt_datetimefield_value(at) if at else None


def _aware(at: datetime | str | None) -> datetime | None:
    """A time as the database gives it: PostgreSQL as such, SQLite in UTC without saying so, or as text."""
    found = datetime.fromisoformat(at) if isinstance(at, str) else at
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found
