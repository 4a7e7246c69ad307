"""How answers are shown: text for people, JSON and YAML for programs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

from postern.errors import CliError, UsageProblem

UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


class Format(StrEnum):
    """The ways to show an answer."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


def show(value: Any, form: Format, text: Callable[[], str]) -> None:
    """Print `value` as a program wants it, or what `text` makes of it for a person."""
    match form:
        case Format.JSON:
            print(json.dumps(value, indent=2, ensure_ascii=False))
        case Format.YAML:
            print(yaml_text(value), end="")
        case Format.TEXT:
            if shown := text().rstrip("\n"):
                print(shown)


def yaml_text(value: Any) -> str:
    """YAML in the order given, as administrators write it."""
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False)


def note(text: str) -> None:
    """Say something beside the answer, on stderr, so that stdout stays the answer alone."""
    print(safe(text), file=sys.stderr)


def complain(error: CliError) -> None:
    """Print a failure: what happened, details, hint, request id."""
    print(f"{_paint('31', 'error:', sys.stderr)} {safe(error.message)}", file=sys.stderr)
    for line in error.lines:
        print(f"  {safe(line)}", file=sys.stderr)
    if error.hint:
        print(f"hint: {safe(error.hint)}", file=sys.stderr)
    if error.request_id:
        print(f"request id: {safe(error.request_id)}", file=sys.stderr)


def _paint(code: str, text: str, stream: TextIO) -> str:
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\033[{code}m{text}\033[0m"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns under heads and a dashed rule; the last column is as long as it likes."""
    cells = [[safe(_word(cell)) for cell in row] for row in rows]
    widths = [max(len(line[n]) for line in [heads, *cells]) for n in range(len(heads))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        " ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [list(heads), rule, *cells]
    )


def fields(pairs: Iterable[tuple[str, str]], mark: str = ">") -> str:
    """Named values in two columns, the first marked."""
    lines = []
    for n, (name, value) in enumerate(pairs):
        lines.append(f"{mark if n == 0 else ' '} {name + ':':<19} {safe(value)}".rstrip())
    return "\n".join(lines)


def safe(text: str) -> str:
    """`text` without what would move the cursor or ring a bell: names and messages come from elsewhere."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def _word(cell: object) -> str:
    if isinstance(cell, Mapping):
        return labels(cell)
    if isinstance(cell, list | tuple):
        return ",".join(str(each) for each in cell)
    return "" if cell is None else str(cell).replace("\n", " ")


def labels(given: Mapping[str, object]) -> str:
    """`k=v,k=v`, sorted."""
    return ",".join(f"{name}={value}" for name, value in sorted(given.items()))


def seconds_of(when: Any) -> float | None:
    """Unix seconds of what the API calls a time (RFC 3339 or seconds); None when there is none."""
    if when in (None, ""):
        return None
    return float(when) if isinstance(when, int | float) else datetime.fromisoformat(str(when)).timestamp()


def moment(when: Any) -> str:
    """A time as people write it, in UTC."""
    seconds = seconds_of(when)
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def valid_until(when: Any, now: float | None = None) -> str:
    """A time to come and how far off it is, as tsh says it."""
    seconds = seconds_of(when)
    if seconds is None:
        return "no end"
    left = seconds - (time.time() if now is None else now)
    return f"{moment(seconds)} [{f'valid for {duration(left)}' if left > 0 else 'EXPIRED'}]"


def ago(when: Any, now: float | None = None) -> str:
    """How long ago a time was; `never` when there is none."""
    seconds = seconds_of(when)
    if seconds is None:
        return "never"
    gone = (time.time() if now is None else now) - seconds
    return f"{duration(gone)} ago" if gone >= 0 else f"in {duration(-gone)}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units: `7h59m`, `3d4h`, `12s`."""
    left = int(seconds)
    parts: list[str] = []
    for unit, size in UNITS.items():
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])


def point_in_time(text: str, now: float | None = None) -> str:
    """RFC 3339 of `1h` (that long ago) or of a time written out; empty for nothing. Raises `UsageProblem`."""
    if not text:
        return ""
    if text[:-1].isdecimal() and text[-1] in UNITS:
        seconds = (time.time() if now is None else now) - int(text[:-1]) * UNITS[text[-1]]
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except ValueError:
        raise UsageProblem(f"{text!r} is no time", "write it like 1h, 7d or 2026-01-31T12:00:00Z") from None


def ending(count: int) -> str:
    """What a change cut: `; ended 2 sessions`, or nothing."""
    return f"; ended {sessions(count)}" if count else ""


def sessions(count: int) -> str:
    """`1 session`, `3 sessions`."""
    return f"{count} session{'' if count == 1 else 's'}"
