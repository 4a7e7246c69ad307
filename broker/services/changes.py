"""Changes to what documents describe, as values: what was made, altered or removed, field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verb = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a document, by its dotted path, before and after; None where it does not exist."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one thing: `kind` and `name` as documents write them."""

    kind: str
    name: str
    change: Verb
    fields: tuple[FieldChange, ...] = ()


def change_of(kind: str, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Change | None:
    """The change from one document to another (None: does not exist), or None when they say the same."""
    fields = tuple(_differences("", before or {}, after))
    if before is None:
        return Change(kind, name, "create", fields)
    return Change(kind, name, "update", fields) if fields else None


def removal_of(kind: str, name: str, before: Mapping[str, Any]) -> Change:
    """The change that removes a thing."""
    return Change(kind, name, "delete", tuple(_differences("", before, {})))


def _differences(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}, key=str):
            yield from _differences(f"{path}.{key}" if path else str(key), before.get(key), after.get(key))
    elif isinstance(before, Mapping) and after is None:
        yield from _differences(path, before, {})
    elif before is None and isinstance(after, Mapping):
        yield from _differences(path, {}, after)
    elif before != after:
        yield FieldChange(path, before, after)
