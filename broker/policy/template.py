"""Templates in roles: `{{internal.NAME}}`, `{{external.NAME}}` and two functions, filled with a subject's traits.

One string holds at most one expression and becomes one string for each value of the trait; no value, no string. Values
are data: they are never read as a glob, a regular expression, a list or a template again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from broker.policy.pattern import NESTED_REPEAT

Traits = Mapping[str, Sequence[str]]
Values = Callable[[Traits], Iterable[str]]

MAX_VALUE = 256

_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_TRAIT = r"(?:internal|external)(?:\.(?P<name>[A-Za-z_][\w-]*)|\[\"(?P<quoted>[^\"\\]+)\"\])"
_VARIABLE = re.compile(_TRAIT)
_EMAIL_LOCAL = re.compile(rf"email\.local\(\s*{_TRAIT}\s*\)")
_STRING = r"\"((?:[^\"\\]|\\.)*)\""
_REPLACE = re.compile(rf"regexp\.replace\(\s*{_TRAIT}\s*,\s*{_STRING}\s*,\s*{_STRING}\s*\)")


@dataclass(frozen=True, slots=True)
class Template:
    """A string with one hole: the text before, what fills it, the text after."""

    before: str
    values: Values
    after: str

    def fill(self, traits: Traits) -> tuple[str, ...]:
        """The literal values for the hole; too long ones and empty ones are dropped."""
        return tuple(value for value in self.values(traits) if 0 < len(value) <= MAX_VALUE)


def parse_template(text: str) -> Template | None:
    """The template in a string, None if it holds none; raises ValueError with words when it is malformed."""
    if "{{" not in text and "}}" not in text:
        return None
    found = list(_BRACES.finditer(text))
    rest = _BRACES.sub("", text)
    if len(found) != 1 or "{{" in rest or "}}" in rest:
        raise ValueError("a string may hold one {{…}} expression")
    match = found[0]
    return Template(text[: match.start()], _values(match[1].strip()), text[match.end() :])


def _values(expression: str) -> Values:
    if match := _VARIABLE.fullmatch(expression):
        name = match["name"] or match["quoted"]
        return lambda traits: traits.get(name, ())
    if match := _EMAIL_LOCAL.fullmatch(expression):
        name = match["name"] or match["quoted"]
        return lambda traits: filter(None, map(_email_local, traits.get(name, ())))
    if match := _REPLACE.fullmatch(expression):
        name = match["name"] or match["quoted"]
        return _replacer(name, match[3], match[4])
    raise ValueError(f"do not understand {{{{{expression}}}}}")


def _email_local(address: str) -> str:
    """The part before the @; nothing for what is not plainly one address (`a@corp.com@evil`)."""
    local, at, domain = address.partition("@")
    return local if at and domain and "@" not in domain else ""


def _replacer(name: str, pattern: str, replacement: str) -> Values:
    if len(pattern) > MAX_VALUE or NESTED_REPEAT.search(pattern):
        raise ValueError("the regular expression in regexp.replace is too long or nests repetitions")
    try:
        expression = re.compile(_unescape(pattern))
        groups = re.sub(r"\$(?:(\d)|\{(\d)\})", r"\\g<\1\2>", _unescape(replacement).replace("\\", r"\\"))
        expression.sub(groups, "")
    except (re.error, IndexError, RecursionError) as error:
        raise ValueError(f"the regular expression in regexp.replace is wrong: {error}") from None

    def values(traits: Traits) -> Iterable[str]:
        return [
            expression.sub(groups, value)
            for value in traits.get(name, ())
            if len(value) <= MAX_VALUE and expression.search(value)
        ]

    return values


def _unescape(text: str) -> str:
    return re.sub(r"\\([\"\\])", r"\1", text)
