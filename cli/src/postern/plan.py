"""Changes in words: what apply does or would do, as a plan with `+`, `~` and `-`. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

SIGNS = {"create": "+", "update": "~", "delete": "-"}


def text(answer: Mapping[str, Any], *, dry_run: bool) -> str:
    """All changes, then what they add up to."""
    changes = answer.get("changes") or []
    lines = [line for change in changes for line in change_lines(change)]
    return "\n".join([*lines, summary(answer, dry_run=dry_run)])


def change_lines(change: Mapping[str, Any]) -> list[str]:
    """`+ role dev`; an update lists each field, on the same line when there is but one."""
    head = f"{SIGNS.get(change['change'], '?')} {change['kind']} {change['name']}"
    if change["change"] != "update":
        return [head]
    fields = [
        f"{field['path']} {shown(field.get('before'))} → {shown(field.get('after'))}"
        for field in change.get("fields") or []
    ]
    if len(fields) == 1:
        return [f"{head}: {fields[0]}"]
    return [head, *(f"    {field}" for field in fields)]


def shown(value: Any) -> str:
    """A field's value: text as it is, the rest as JSON, nothing as `(none)`."""
    if value is None:
        return "(none)"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def summary(answer: Mapping[str, Any], *, dry_run: bool) -> str:
    """One line: counts, and the sessions that ended or would end."""
    changes: Sequence[Mapping[str, Any]] = answer.get("changes") or []
    unchanged = answer.get("unchanged") or 0
    unchanged = len(unchanged) if isinstance(unchanged, list) else unchanged
    if not changes:
        return f"nothing to change, {unchanged} as they should be"
    words = ("to add", "to change", "to remove") if dry_run else ("added", "changed", "removed")
    parts = []
    for verb, word in zip(SIGNS, words, strict=True):
        if count := sum(1 for change in changes if change["change"] == verb):
            parts.append(f"{count} {word}")
    ends = answer.get("ends_sessions") or 0
    count = len(ends) if isinstance(ends, list) else int(ends)
    tail = f"; {'would end' if dry_run else 'ended'} {count} session{'' if count == 1 else 's'}" if count else ""
    return f"{', '.join(parts)}, {unchanged} unchanged{tail}"


def removed(answer: Mapping[str, Any]) -> list[str]:
    """The things a plan removes, as `kind name`."""
    return [
        f"{change['kind']} {change['name']}" for change in answer.get("changes") or [] if change["change"] == "delete"
    ]
