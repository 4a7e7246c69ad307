"""Search filters as administrators write them (RFC 4515), with `{name}` where the typed name will go."""

from __future__ import annotations

import re

HOLE = "{name}"
MAX_DEPTH = 20
_ATTRIBUTE = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9;-]*|\d+(?:\.\d+)+)?(?::dn)?(?::(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+):(?==))?"
)
_VALUE = re.compile(r"(?:[^()\\\0{}]|\\[0-9A-Fa-f]{2}|\{name\})*")
_RELATIONS = ("=", "~=", ">=", "<=")


class _Wrong(Exception):
    """Not a filter; the words say why."""


def filter_with_hole(text: str) -> str:
    """A filter with `{name}` in at least one value."""
    if wrong := _problem(text):
        return wrong
    return "" if HOLE in text else "must hold {name} where the typed name goes"


def plain_filter(text: str) -> str:
    """A filter without a hole."""
    if wrong := _problem(text):
        return wrong
    return "" if HOLE not in text else "must not hold {name}: it is not about one name"


def plain_filter_or_empty(text: str) -> str:
    """The same, or nothing at all."""
    return plain_filter(text) if text else ""


def _problem(text: str) -> str:
    if not text.isprintable():
        return "holds control characters"
    try:
        end = _filter(text, 0, 0)
    except _Wrong as wrong:
        return f"is not a filter: {wrong}"
    return "" if end == len(text) else f"is not a filter: something follows its end: {text[end:][:40]!r}"


def _filter(text: str, at: int, depth: int) -> int:
    """The place after the filter that begins at `at`."""
    if depth > MAX_DEPTH:
        raise _Wrong("it is nested too deeply")
    if text[at : at + 1] != "(":
        raise _Wrong(f"a ( is missing before {text[at:][:40]!r}" if at < len(text) else "it ends too early")
    sign = text[at + 1 : at + 2]
    at = _inner(text, at + 2, sign, depth) if sign and sign in "&|!" else _item(text, at + 1)
    if text[at : at + 1] != ")":
        raise _Wrong(f"a ) is missing before {text[at:][:40]!r}" if at < len(text) else "a ) is missing at its end")
    return at + 1


def _inner(text: str, at: int, sign: str, depth: int) -> int:
    """The place after the filters that & | or ! holds."""
    at = _filter(text, at, depth + 1)
    while sign != "!" and text[at : at + 1] == "(":
        at = _filter(text, at, depth + 1)
    return at


def _item(text: str, at: int) -> int:
    attribute = _ATTRIBUTE.match(text, at)
    start = attribute.end() if attribute else at
    relation = next((sign for sign in _RELATIONS if text.startswith(sign, start)), "")
    if start == at or not relation:
        raise _Wrong(f"an attribute and = are missing at {text[at:][:40]!r}")
    value = _VALUE.match(text, start + len(relation))
    if value is None:
        raise _Wrong("a value is missing")  # pragma: no cover - the pattern matches nothing too
    return value.end()
