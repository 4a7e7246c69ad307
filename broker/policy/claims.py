"""What a provider or directory says about somebody, mapped to groups and traits by the rules of its connector. Pure.

Claims are flattened to lists of texts. Templates are those of roles (`{{external.NAME}}`), filled with the claims.
Values are data: what is no name of a group is dropped, and the outcome says so. Whatever a provider sends, mapping it
never fails: what cannot be a text, or cannot be kept as one, is as if it had not been sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from broker.policy.pattern import Exact, Pattern, compile_regex, is_regex, pattern_of
from broker.policy.template import MAX_VALUE, parse_template

Claims = Mapping[str, tuple[str, ...]]
MAX_VALUES = 1000
"""Values of one claim; the rest is not read, and the outcome says so."""
MAX_TEXT = 4096
MAX_FULL_NAME, MAX_EMAIL = 200, 254
MAX_DEPTH = 4
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # what stands for no text, or cannot be stored


@dataclass(frozen=True, slots=True)
class GroupRule:
    """Puts people in `groups` (names or templates) if `claim` has a value that `value` matches.

    In this rule's templates the claim has only the values that matched.
    """

    claim: str
    value: str = "*"
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimMapping:
    """How claims become a user: templates for name, full name and e-mail, rules for groups, templates for traits."""

    username: str = ""
    full_name: str = ""
    email: str = ""
    groups: tuple[GroupRule, ...] = ()
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """How one rule fared: `rule` in words, what it gave, and why it gave nothing or less."""

    rule: str
    gave: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a mapping made of claims. `username` is as the template gave it, to be checked by whoever makes users."""

    username: str = ""
    full_name: str = ""
    email: str = ""
    groups: tuple[str, ...] = ()
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: tuple[RuleOutcome, ...] = ()


def flatten(raw: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Claims as lists of texts. What lies in mappings is known by its dotted path (`realm_access.roles`).

    A path that two things go by has no value: which one was meant is not for us to guess.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path, value in _leaves("", raw, 0):
        found[path] = () if path in found else _texts(value)
    return found


def _leaves(prefix: str, raw: Mapping[str, Any], depth: int) -> Iterable[tuple[str, Any]]:
    for key, value in raw.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if not isinstance(value, Mapping):
            yield path, value
        elif depth < MAX_DEPTH:
            yield from _leaves(path, value, depth + 1)


def _texts(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list | tuple) else (value,)
    return tuple(islice(filter(None, map(_text, items)), MAX_VALUES))


def _text(value: Any) -> str:
    """A value as text; empty if it is none that counts."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value if len(value) <= MAX_TEXT and not _CONTROL.search(value) else ""
        case int():
            return str(value) if value.bit_length() <= 64 else ""
        case float():
            return str(value) if math.isfinite(value) else ""
        case _:
            return ""


def map_claims(mapping: ClaimMapping, claims: Claims, group_name: Callable[[str], str]) -> Outcome:
    """What `mapping` makes of `claims`; `group_name` gives the group that a text names, empty if it cannot name one."""
    groups: dict[str, None] = {}
    told: list[RuleOutcome] = []
    for rule in mapping.groups:
        outcome = _apply_rule(rule, claims, group_name)
        told.append(outcome)
        groups.update(dict.fromkeys(outcome.gave))
    traits: dict[str, tuple[str, ...]] = {}
    for name, templates in mapping.traits.items():
        values = tuple(dict.fromkeys(value for text in templates for value in filled(text, claims)))
        why = "" if values else "the claims give nothing to fill it with"
        told.append(RuleOutcome(f"trait {name}: {', '.join(templates)}", values, why))
        if values:
            traits[name] = values
    email = first(mapping.email, claims)
    return Outcome(
        username=first(mapping.username, claims),
        full_name=first(mapping.full_name, claims)[:MAX_FULL_NAME],
        email=email if len(email) <= MAX_EMAIL else "",
        groups=tuple(sorted(groups)),
        traits=traits,
        rules=tuple(told),
    )


def _apply_rule(rule: GroupRule, claims: Claims, group_name: Callable[[str], str]) -> RuleOutcome:
    words = f"claim {rule.claim} = {rule.value}: {', '.join(rule.groups)}"
    values = claims.get(rule.claim)
    if not values:
        return RuleOutcome(words, why="the claim is absent" if values is None else "the claim has no value that counts")
    pattern = value_pattern(rule.value)
    matched = tuple(value for value in values if len(value) <= MAX_VALUE and pattern.matches(value))
    if not matched:
        return RuleOutcome(words, why=_joined("no value matches", _cut(values)))
    wanted = [name for text in rule.groups for name in filled(text, {**claims, rule.claim: matched})]
    named = {text: group_name(text) for text in wanted}
    good = tuple(dict.fromkeys(filter(None, named.values())))
    bad = [text for text, name in named.items() if not name]
    why = f"no name of a group: {_some(bad)}" if bad else ("" if good else "the template gave nothing")
    return RuleOutcome(words, good, _joined(why, _cut(values)))


def _cut(values: Sequence[str]) -> str:
    return f"only the first {MAX_VALUES} values were looked at" if len(values) >= MAX_VALUES else ""


def _joined(*words: str) -> str:
    return "; ".join(filter(None, words))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:64]) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def value_pattern(text: str) -> Pattern:
    """The pattern of a rule's value: literal, glob with `*`, or `^regex$`; raises ValueError with words."""
    if is_regex(text):
        return compile_regex(text)
    pieces = text.split("*")
    return Exact(text) if len(pieces) == 1 else pattern_of(pieces)


def filled(text: str, claims: Claims) -> Iterable[str]:
    """The texts that a template makes of claims; a text without one is itself. Raises ValueError if malformed."""
    template = parse_template(text)
    if template is None:
        return (text,)
    return tuple(template.before + value + template.after for value in template.fill(claims))


def first(text: str, claims: Claims) -> str:
    """The first text that a template makes of claims; empty if none."""
    return next(iter(filled(text, claims)), "") if text else ""
