"""Durations as people write them: `8h`, `1h30m`, `90s`, `2d`."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")
_UNITS = (86400, 3600, 60, 1)
MAX_SECONDS = 10 * 365 * 86400


def parse_duration(text: str) -> float:
    """Seconds; raises ValueError with words when it is not a duration, or nought, or longer than ten years."""
    match = _DURATION.fullmatch(text) if text.isascii() else None
    if not match or not text:
        raise ValueError(f"is not a duration such as 8h, 90m or 1h30m: {text[:40]!r}")
    seconds = sum(int(part or 0) * unit for part, unit in zip(match.groups(), _UNITS, strict=True))
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError("must be longer than nothing and at most ten years")
    return float(seconds)


def duration_text(seconds: float) -> str:
    """The shortest way to write it that `parse_duration()` reads back."""
    rest, parts = int(seconds), []
    for unit, letter in zip(_UNITS, "dhms", strict=True):
        if rest >= unit:
            parts.append(f"{rest // unit}{letter}")
            rest %= unit
    return "".join(parts)
