"""YAML text in, plain values with line numbers out. Reads a plain subset of YAML and refuses the rest in words.

Aliases, tags, merge keys and duplicate keys are refused. Built from parser events, because composing deeply nested
input recursively would crash the process. Dates stay text. Of `no`, `on`, `1.10` and their like only the value that
YAML 1.1 makes of them is left, so whoever expects text refuses them and says to quote them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from broker.errors import Invalid, Problem

MAX_CHARACTERS = 1024 * 1024
MAX_DEPTH = 32
MAX_VALUES = 100_000
MAX_DOCUMENTS = 20_000
MAX_PROBLEMS = 100

_BOOLEANS = {
    form: value
    for word, value in {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.items()
    for form in (word, word.capitalize(), word.upper())
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]{1,3})?")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class RawDocument:
    """One document before its kind is looked at: plain values, and the line (from 1) of each dotted path."""

    source: str
    line: int
    value: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def kind(self) -> str:
        kind = self.value.get("kind")
        return kind if isinstance(kind, str) else ""


def load_documents(text: str, source: str = "") -> list[RawDocument]:
    """The documents of a YAML text, empty ones left out; raises Invalid naming each problem found."""
    if len(text) > MAX_CHARACTERS:
        raise _invalid([Problem(f"the file is larger than {MAX_CHARACTERS // 1024} KiB", source)])
    reader = _Reader(source)
    try:
        documents = list(reader.documents(yaml.parse(text, Loader=_LOADER)))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        problem = Problem(f"this is not YAML: {error.problem or error.context or 'syntax error'}", source, line)
        raise _invalid([*reader.problems, problem]) from None
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        words = str(error).splitlines()[0] if str(error) else "unreadable"
        raise _invalid([*reader.problems, Problem(f"this is not YAML: {words}", source)]) from None
    except _TooMuch as error:
        raise _invalid([*reader.problems, Problem(str(error), source, error.line)]) from None
    if reader.problems:
        raise _invalid(reader.problems)
    return documents


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _invalid(problems: list[Problem]) -> Invalid:
    return Invalid("the documents cannot be read", "nothing was changed", problems[:MAX_PROBLEMS])


class _TooMuch(Exception):
    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read. `key` is the one whose value comes next, None before a key."""

    into: dict[str, Any] | list[Any]
    path: str
    key: str | None = None


class _Reader:
    """Turns parser events into values. Goes on after a problem, so that all of them are found."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self._open: list[_Open] = []
        self._lines: dict[str, int] = {}
        self._count = 0

    def documents(self, events: Iterator[Any]) -> Iterator[RawDocument]:
        found = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                document = self._document(events)
                if document is not None:
                    found += 1
                    if found > MAX_DOCUMENTS:
                        raise _TooMuch(f"there are more than {MAX_DOCUMENTS} documents", document.line)
                    yield document

    def _document(self, events: Iterator[Any]) -> RawDocument | None:
        self._lines, self._open = {}, []
        root: list[Any] = []
        first = 0
        for event in events:
            if isinstance(event, yaml.DocumentEndEvent):
                break
            first = first or event.start_mark.line + 1
            self._lines.setdefault("", first)
            self._take(event, root)
        if not root or root[0] is None:
            return None
        if not isinstance(root[0], dict):
            self._problem("a document is a mapping with kind, metadata and spec", first, "")
            return None
        return RawDocument(self.source, first, root[0], self._lines)

    def _take(self, event: Any, root: list[Any]) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._open.pop()
            return
        self._count += 1
        if self._count > MAX_VALUES:
            raise _TooMuch(f"there are more than {MAX_VALUES} values", line)
        if self._open and isinstance(self._open[-1].into, dict) and self._open[-1].key is None:
            self._take_key(event, line)
            return
        path = self._place(line)
        self._check_plain(event, line, path)
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(self._open) >= MAX_DEPTH:
                raise _TooMuch(f"values are nested deeper than {MAX_DEPTH}", line)
            into: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
            self._put(into, root)
            self._open.append(_Open(into, path))
        else:
            self._put(_scalar(event) if isinstance(event, yaml.ScalarEvent) else None, root)

    def _take_key(self, event: Any, line: int) -> None:
        top = self._open[-1]
        if not isinstance(event, yaml.ScalarEvent):
            raise _TooMuch("a key must be plain text", line)
        self._check_plain(event, line, top.path)
        key: str = event.value
        if key == "<<" and event.implicit[0]:
            self._problem("merge keys are not supported", line, top.path, "write the values out")
        if key in top.into:
            self._problem(f"{key!r} is written twice", line, _joined(top.path, key), "keep one of them")
        top.key = key
        self._lines[_joined(top.path, key)] = line

    def _place(self, line: int) -> str:
        """The dotted path of the value that comes now."""
        if not self._open:
            return ""
        top = self._open[-1]
        if isinstance(top.into, dict):
            return _joined(top.path, top.key or "")
        path = f"{top.path}[{len(top.into)}]"
        self._lines[path] = line
        return path

    def _put(self, value: Any, root: list[Any]) -> None:
        if not self._open:
            root.append(value)
            return
        top = self._open[-1]
        if isinstance(top.into, dict):
            top.into[top.key or ""] = value
            top.key = None
        else:
            top.into.append(value)

    def _check_plain(self, event: Any, line: int, path: str) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._problem(f"aliases are not supported: *{event.anchor}", line, path, "write the value out")
        elif event.anchor is not None:
            self._problem(f"anchors are not supported: &{event.anchor}", line, path, "write the value out")
        elif event.tag is not None and event.tag != "!":
            self._problem(f"tags are not supported: {event.tag}", line, path, "remove it")

    def _problem(self, message: str, line: int, path: str, hint: str = "") -> None:
        self.problems.append(Problem(message, self.source, line, path, hint))


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _scalar(event: Any) -> str | bool | int | float | None:
    """The value of a scalar; quoted is text, plain is what YAML 1.1 makes of it, save dates and base 60."""
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text
