"""Reading one mapping of a document: typed, with every key accounted for and every problem kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from broker.errors import Problem

MAX_TEXT = 4096
MAX_ITEMS = 1000

Check = Callable[[str], str]
"""What is wrong with a text, in words; empty when nothing is."""


def anything(text: str) -> str:
    """Accepts any text without control characters."""
    return "" if text.isprintable() else "holds control characters"


class Section:
    """One mapping being read. Asking for a key marks it as known; `finish()` reports the keys nobody asked for."""

    def __init__(self, value: Any, path: str, source: str, lines: Mapping[str, int], problems: list[Problem]) -> None:
        self.path = path
        self._source, self._lines, self._problems = source, lines, problems
        self._known: list[str] = []
        self._value: Mapping[str, Any] = {}
        if isinstance(value, Mapping):
            self._value = value
        elif value is not None:
            self.problem("", f"must be a mapping, not {described(value)}")

    def __contains__(self, key: str) -> bool:
        return self._value.get(key) is not None

    def problem(self, key: str, message: str, hint: str = "") -> None:
        """Note what is wrong with a key of this mapping (empty: with the mapping itself)."""
        path = self._path_of(key)
        shown = f"{path} {message}" if path else message
        self._problems.append(Problem(shown, self._source, self._line_of(path), path, hint))

    def is_empty(self, key: str) -> bool:
        """Whether the key is there and holds an empty list."""
        return self._value.get(key) in ([], ())

    def take(self, key: str) -> Any:
        """The raw value of a key, None if absent. A key without a value is a problem: it could be read as no limit."""
        self._known.append(key)
        value = self._value.get(key)
        if value is None and key in self._value:
            self.problem(key, "has no value", "remove it, or write one")
        return value

    def note(self, key: str) -> None:
        """Mark a key as known without reading it."""
        self._known.append(key)

    def section(self, key: str) -> Section:
        """A mapping inside this one; an empty one if absent."""
        return Section(self.take(key), self._path_of(key), self._source, self._lines, self._problems)

    def sections(self, key: str) -> list[Section]:
        """A list of mappings."""
        items = self._items(key, self.take(key))
        path = self._path_of(key)
        return [
            Section(item, f"{path}[{index}]", self._source, self._lines, self._problems)
            for index, item in enumerate(items)
        ]

    def text(
        self,
        key: str,
        check: Check = anything,
        *,
        default: str = "",
        required: bool = False,
        longest: int = MAX_TEXT,
    ) -> str:
        """A string; `default` when absent or wrong."""
        value = self.take(key)
        if value is None:
            if required and key not in self._value:
                self.problem(key, "is missing")
            return default
        return default if self._is_wrong_text(key, value, check, longest) else str(value)

    def texts(self, key: str, check: Check = anything) -> tuple[str, ...]:
        """A list of strings; one string is a list of one. Repetitions are dropped."""
        return self._texts(key, self.take(key), check)

    def text_map(self, key: str, check_key: Check, check: Check = anything) -> dict[str, str]:
        """A mapping from strings to strings."""
        inner = self.section(key)
        return {name: inner.text(name, check) for name in inner._keys(check_key)}

    def texts_map(self, key: str, check_key: Check, check: Check = anything) -> dict[str, tuple[str, ...]]:
        """A mapping from strings to lists of strings."""
        inner = self.section(key)
        return {name: inner.texts(name, check) for name in inner._keys(check_key)}

    def flag(self, key: str) -> bool | None:
        """True or false; None when absent."""
        value = self.take(key)
        if value is None or isinstance(value, bool):
            return value
        self.problem(key, f"must be true or false, not {described(value)}")
        return None

    def finish(self) -> None:
        """Report keys that mean nothing here, with the nearest that would."""
        for key in self._value:
            if key not in self._known:
                near = get_close_matches(key, self._known, 1, 0.5)
                hint = f"did you mean {near[0]!r}?" if near else "known here: " + ", ".join(self._known)
                where = f" in {self.path}" if self.path else ""
                path = self._path_of(key)
                self._problems.append(
                    Problem(f"unknown key {key!r}{where}", self._source, self._line_of(path), path, hint)
                )

    def _keys(self, check: Check) -> list[str]:
        if len(self._value) > MAX_ITEMS:
            self.problem("", f"has more than {MAX_ITEMS} entries")
            return []
        good = []
        for key in self._value:
            wrong = check(key)
            if wrong:
                self.problem("", f"has the key {key!r}, which {wrong}")
            else:
                good.append(key)
        return good

    def _items(self, key: str, value: Any) -> Sequence[Any]:
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            self.problem(key, f"must be a list, not {described(value)}")
            return ()
        if len(value) > MAX_ITEMS:
            self.problem(key, f"has more than {MAX_ITEMS} entries")
            return ()
        return value

    def _texts(self, key: str, value: Any, check: Check) -> tuple[str, ...]:
        items = (value,) if isinstance(value, str | bool | int | float) else self._items(key, value)
        good = [
            item
            for index, item in enumerate(items)
            if not self._is_wrong_text(f"{key}[{index}]" if isinstance(value, list) else key, item, check)
        ]
        return tuple(dict.fromkeys(good))

    def _is_wrong_text(self, key: str, value: Any, check: Check, longest: int = MAX_TEXT) -> bool:
        if not isinstance(value, str):
            self.problem(key, f"must be a string, not {described(value)}", quoting(value))
            return True
        wrong = f"is longer than {longest} characters" if len(value) > longest else check(value)
        if wrong:
            self.problem(key, wrong)
        return bool(wrong)

    def _path_of(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path and key else self.path or key

    def _line_of(self, path: str) -> int:
        """The line of a path, or of the nearest thing around it."""
        while path and path not in self._lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._lines.get(path, 0)


def described(value: Any) -> str:
    """A value as a person would call it: `the boolean false`."""
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return "a string"
        case list() | tuple():
            return "a list"
        case None:
            return "nothing"
        case _:
            return "a mapping"


def quoting(value: Any) -> str:
    """The hint for a value that YAML made something else of than text."""
    if isinstance(value, bool):
        return 'put the word in quotes: "no", "yes", "on"'
    return f'put it in quotes: "{value}"' if isinstance(value, int | float) else ""
