"""A grant: a role as it applies to one subject, templates filled in and patterns made ready to match."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from broker.policy.attempt import ADMIN_KINDS, ADMIN_VERBS
from broker.policy.condition import Condition, compile_condition
from broker.policy.login import is_login
from broker.policy.method import STANDARD, with_head
from broker.policy.path import denial_pattern, path_pattern
from broker.policy.pattern import Exact, Pattern, Selector, Values, compile_regex, is_regex, pattern_of
from broker.policy.role import AdminRule, LabelPatterns, RoleSpec, Rules
from broker.policy.template import Traits, parse_template
from broker.policy.terms import Terms, terms_of

ANY = "*"


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """What one side of a role, allow or deny, says.

    On the deny side empty `methods` mean any, and `bare` says that nothing but conditions is written.
    """

    logins: frozenset[str]
    servers: Selector
    apps: Selector
    paths: tuple[Pattern, ...]
    methods: frozenset[str]
    actions: frozenset[str]
    conditions: tuple[Condition, ...]
    bare: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Grant:
    """A role as one subject holds it; `via`: through what (`user:alice`, `group:ops`), `until`: Unix time or None."""

    role: str
    via: str
    until: float | None
    allow: Side
    deny: Side | None
    terms: Terms

    def is_held(self, at: float) -> bool:
        return self.until is None or at < self.until


def compile_role(spec: RoleSpec, traits: Traits, *, via: str = "", until: float | None = None) -> Grant:
    """The grant that a checked role makes for a subject with these traits."""
    deny = None if spec.deny == Rules() else _deny_side(spec.deny, traits)
    return Grant(spec.name, via, until, _allow_side(spec.allow, traits), deny, terms_of(spec.options))


def _allow_side(rules: Rules, traits: Traits) -> Side:
    return Side(
        logins=frozenset(login for login in _fill_all(rules.logins, traits) if is_login(login)),
        servers=compile_labels(rules.server_labels, traits),
        apps=compile_labels(rules.app_labels, traits),
        paths=tuple(path_pattern(path) for path in rules.paths),
        methods=with_head(rules.methods) or STANDARD,
        actions=actions_of(rules.rules),
        conditions=tuple(compile_condition(source) for source in rules.conditions),
    )


def _deny_side(rules: Rules, traits: Traits) -> Side:
    return Side(
        logins=frozenset(_fill_all(rules.logins, traits)),
        servers=compile_labels(rules.server_labels, traits),
        apps=compile_labels(rules.app_labels, traits),
        paths=tuple(denial_pattern(path) for path in rules.paths),
        methods=with_head(rules.methods),
        actions=actions_of(rules.rules),
        conditions=tuple(compile_condition(source) for source in rules.conditions),
        bare=replace(rules, conditions=()) == Rules(),
    )


def compile_labels(labels: LabelPatterns, traits: Traits) -> Selector:
    """Label patterns with templates filled; raises ValueError with words for a malformed pattern."""
    if ANY in labels:
        return Selector({}, anything=True)
    return Selector({key: _compile_values(texts, traits) for key, texts in labels.items()})


def _compile_values(texts: Iterable[str], traits: Traits) -> Values:
    literals: set[str] = set()
    patterns: list[Pattern] = []
    for text in texts:
        template = parse_template(text)
        if is_regex(text):
            patterns.append(compile_regex(text))
        elif template is not None:
            for value in template.fill(traits):
                _add_glob(literals, patterns, _join(template.before.split(ANY), value, template.after.split(ANY)))
        else:
            _add_glob(literals, patterns, text.split(ANY))
    return Values(frozenset(literals), tuple(patterns))


def _join(before: list[str], value: str, after: list[str]) -> list[str]:
    """The pieces of a glob with a trait's value set in as literal text, whatever is in it."""
    return [*before[:-1], before[-1] + value + after[0], *after[1:]]


def _add_glob(literals: set[str], patterns: list[Pattern], pieces: Sequence[str]) -> None:
    pattern = pattern_of(pieces)
    if isinstance(pattern, Exact):
        literals.add(pattern.text)
    else:
        patterns.append(pattern)


def _fill_all(texts: Iterable[str], traits: Traits) -> Iterable[str]:
    for text in texts:
        template = parse_template(text)
        if template is None:
            yield text
        else:
            yield from (template.before + value + template.after for value in template.fill(traits) if value != ANY)


def actions_of(rules: Iterable[AdminRule]) -> frozenset[str]:
    """The administrative actions that rules name, `KIND.VERB`."""
    return frozenset(
        f"{kind}.{verb}"
        for rule in rules
        for kind in (ADMIN_KINDS if ANY in rule.resources else rule.resources)
        for verb in (ADMIN_VERBS if ANY in rule.verbs else rule.verbs)
    )
