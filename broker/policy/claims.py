"""What a provider or directory says about somebody, mapped to groups and traits by the rules of its connector. Pure.

Claims are flattened to lists of texts. Templates are those of roles (`{{external.NAME}}`), filled with the claims.
Values are data: what is no name of a group is dropped, and the outcome says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.policy.pattern import Exact, Pattern, compile_regex, is_regex, pattern_of
from broker.policy.template import MAX_VALUE, parse_template

Claims = Mapping[str, tuple[str, ...]]
MAX_VALUES = 1000
"""Values of one claim; the rest is not read, and the outcome says so."""


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
    """Claims as lists of texts. What lies in mappings is known by its dotted path (`realm_access.roles`)."""
    found: dict[str, tuple[str, ...]] = {}
    _flatten("", raw, found, 0)
    return found


def _flatten(prefix: str, raw: Mapping[str, Any], into: dict[str, tuple[str, ...]], depth: int) -> None:
    for key, value in raw.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            if depth < 4:
                _flatten(path, value, into, depth + 1)
            continue
        items = value if isinstance(value, list | tuple) else [value]
        into.setdefault(path, tuple(text for text in map(_text, items[:MAX_VALUES]) if text is not None))


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if 0 < len(value) <= 4096 else None
    return str(value) if isinstance(value, int | float) else None


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
        told.append(RuleOutcome(f"trait {name}: {', '.join(templates)}", values, "" if values else "no such claim"))
        if values:
            traits[name] = values
    return Outcome(
        username=first(mapping.username, claims),
        full_name=first(mapping.full_name, claims),
        email=first(mapping.email, claims),
        groups=tuple(sorted(groups)),
        traits=traits,
        rules=tuple(told),
    )


def _apply_rule(rule: GroupRule, claims: Claims, group_name: Callable[[str], str]) -> RuleOutcome:
    words = f"claim {rule.claim} = {rule.value}: {', '.join(rule.groups)}"
    values = claims.get(rule.claim)
    if not values:
        return RuleOutcome(words, why="the claim is absent" if values is None else "the claim is empty")
    pattern = value_pattern(rule.value)
    matched = tuple(value for value in values if len(value) <= MAX_VALUE and pattern.matches(value))
    if not matched:
        return RuleOutcome(words, why="no value matches")
    wanted = [name for text in rule.groups for name in filled(text, {**claims, rule.claim: matched})]
    good = tuple(dict.fromkeys(filter(None, map(group_name, wanted))))
    bad = [name for name in wanted if not group_name(name)]
    why = f"no name of a group: {_some(bad)}" if bad else ("" if good else "the template gave nothing")
    return RuleOutcome(words, good, why)


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
