"""What the supervisor shows: its children's lines with their names before them, and its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TextIO

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)
_LINE_LIMIT = 16 * 1024
NAME_WIDTH = 8


class Output:
    """Writes lines to `stream`, each with the name of the process it comes from; in colour on a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._colour = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._seen: dict[str, int] = {}

    def line(self, name: str, text: str) -> None:
        """One line of the process `name`."""
        prefix = f"{name:<{NAME_WIDTH}} |"
        if self._colour:
            number = self._seen.setdefault(name, _COLOURS[len(self._seen) % len(_COLOURS)])
            prefix = f"\x1b[{number}m{prefix}\x1b[0m"
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._stream.write(f"{prefix} {text}\n")
            self._stream.flush()

    async def forward(self, name: str, reader: asyncio.StreamReader, noise: tuple[str, ...] = ()) -> None:
        """Every line that comes out of `reader`, until it ends, but `noise`. A line without an end is cut, not kept."""
        rest = b""
        while chunk := await reader.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                text = _text(line)
                if not any(part in text for part in noise):
                    self.line(name, text)
            if len(rest) > _LINE_LIMIT:
                self.line(name, _text(rest))
                rest = b""
        if rest:
            self.line(name, _text(rest))


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "replace")


def say(text: str = "") -> None:
    """A line for the person who started us, on standard output."""
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)


def fail(message: str, hint: str = "") -> int:
    """The one line that says why we do not start; returns the exit code."""
    print(f"error: {message}" + (f" ({hint})" if hint else ""), file=sys.stderr, flush=True)
    return 1
