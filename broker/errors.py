"""The failures that services raise: plain facts, no HTTP. Each edge has one table from these to its answers.

A refusal by policy is a value (`broker.policy.Denial`), raised as `Denied` only where a caller cannot go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.policy import Denial


class PosternError(Exception):
    """A failure with words for a person: what happened, then a hint (may be empty)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFound(PosternError):
    """There is no such thing, or it is not yours: the two sound the same."""


class Conflict(PosternError):
    """It exists already, or changed meanwhile."""


class Invalid(PosternError):
    """The input is wrong; `problems` names each place."""

    def __init__(self, message: str, hint: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message, hint)
        self.problems = tuple(problems)


class Throttled(PosternError):
    """Too many tries; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float, hint: str = "") -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class Unavailable(PosternError):
    """Something we depend on does not answer; nothing was done."""


class Denied(PosternError):
    """Policy said no; carries the `Denial`."""

    def __init__(self, denial: Denial, message: str = "access denied", hint: str = "") -> None:
        super().__init__(message, hint)
        self.denial = denial


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a document: where (file, line counted from 1, dotted path) and what to do."""

    message: str
    source: str = ""
    line: int = 0
    path: str = ""
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.source or 'input'}:{self.line}: " if self.line else ""
        return f"{where}{self.message}" + (f" ({self.hint})" if self.hint else "")
