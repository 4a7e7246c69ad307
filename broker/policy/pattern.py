"""Patterns for label values and paths: literal text, globs in which `*` is any run of characters, and `^regex$`.

A pattern always has to match the whole value. Only `*` is special in a glob; `?` and `[` stand for themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_REGEX = 256
# A repeated group that itself repeats can take exponential time: `(a+)+`.
NESTED_REPEAT = re.compile(r"[*+}][^()]*\)[*+{?]")


class Glob(NamedTuple):
    """Literal text at the start, in between, and at the end, with any run of characters where they part."""

    first: str
    middle: tuple[str, ...]
    last: str

    def matches(self, value: str) -> bool:
        """Whether the whole value is such a text; one pass over it, whatever the pattern."""
        if not value.startswith(self.first) or not value.endswith(self.last):
            return False
        at, end = len(self.first), len(value) - len(self.last)
        if at > end:
            return False
        for piece in self.middle:
            found = value.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True


class Exact(NamedTuple):
    """One literal text."""

    text: str

    def matches(self, value: str) -> bool:
        return value == self.text


class Regex(NamedTuple):
    """A regular expression over the whole value."""

    pattern: re.Pattern[str]

    def matches(self, value: str) -> bool:
        return self.pattern.fullmatch(value) is not None


Pattern = Exact | Glob | Regex


def pattern_of(pieces: Sequence[str]) -> Exact | Glob:
    """The pattern of literal pieces with `*` between them."""
    if len(pieces) == 1:
        return Exact(pieces[0])
    return Glob(pieces[0], tuple(pieces[1:-1]), pieces[-1])


def is_regex(text: str) -> bool:
    return len(text) > 1 and text[0] == "^" and text[-1] == "$"


def compile_regex(text: str) -> Regex:
    """Compile `^regex$`; raises ValueError with words when it is not one that may be used."""
    if len(text) > MAX_REGEX:
        raise ValueError(f"the regular expression is longer than {MAX_REGEX} characters")
    if NESTED_REPEAT.search(text):
        raise ValueError("a repeated group holds another repetition, which can take for ever to match")
    try:
        return Regex(re.compile(text[1:-1]))
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"the regular expression is wrong: {error}") from None


@dataclass(frozen=True, slots=True)
class Values:
    """The acceptable values of one label key: one of `literals`, or matched by one of `patterns`."""

    literals: frozenset[str]
    patterns: tuple[Pattern, ...] = ()

    def match(self, value: str | None) -> bool:
        """A missing label (None) matches nothing, not even `*`."""
        if value is None:
            return False
        return value in self.literals or any(pattern.matches(value) for pattern in self.patterns)


class Selector:
    """Label patterns made ready to match: OR within a key, AND between keys, none at all matches nothing."""

    __slots__ = ("anything", "exact", "keys", "patterned", "selects")

    def __init__(self, keys: Mapping[str, Values], *, anything: bool = False) -> None:
        self.anything = anything
        self.keys = dict(keys)
        self.selects = anything or bool(keys)
        self.exact = tuple((key, values.literals) for key, values in keys.items() if not values.patterns)
        self.patterned = tuple((key, values) for key, values in keys.items() if values.patterns)

    def matches(self, labels: Mapping[str, str]) -> bool:
        if not self.keys:
            return self.anything
        for key, literals in self.exact:
            if labels.get(key) not in literals:
                return False
        return all(values.match(labels.get(key)) for key, values in self.patterned)

    def first_mismatch(self, labels: Mapping[str, str]) -> str:
        """The first key whose label does not match; empty when all do or there is no key."""
        return next((key for key, values in self.keys.items() if not values.match(labels.get(key))), "")


def any_matches(patterns: Sequence[Pattern], value: str) -> bool:
    """Whether one of these patterns matches."""
    for pattern in patterns:  # noqa: SIM110 - a generator costs more than the matching
        if pattern.matches(value):
            return True
    return False
