"""Pages of long lists, and the opaque cursors between them: what a cursor holds is checked, never trusted."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from broker.errors import Invalid, Problem

T = TypeVar("T")
DEFAULT_LIMIT = 50
MAX_LIMIT = 500
_MAX_CURSOR = 400


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list, and the cursor of what follows (empty at the end)."""

    items: Sequence[T]
    next: str = ""


def cursor_for(position: str) -> str:
    """The cursor that stands for a position in a list."""
    return base64.urlsafe_b64encode(f"1:{position}".encode()).decode().rstrip("=")


def position_in(cursor: str) -> str:
    """The position a cursor stands for; empty for the start. Raises Invalid."""
    if not cursor:
        return ""
    try:
        if len(cursor) > _MAX_CURSOR:
            raise ValueError
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise bad_cursor() from None
    version, colon, position = text.partition(":")
    if version != "1" or not colon or not position or not position.isprintable():
        raise bad_cursor()
    return position


def bad_cursor() -> Invalid:
    """What is raised for a cursor that was not made here."""
    return Invalid(
        "the cursor is not one of ours",
        "begin again without a cursor",
        problems=[Problem("not a cursor", path="cursor", hint="take it from `next` of the page before")],
    )


def limit_of(wanted: int | None) -> int:
    """The size of a page within our bounds."""
    return max(1, min(wanted or DEFAULT_LIMIT, MAX_LIMIT))
