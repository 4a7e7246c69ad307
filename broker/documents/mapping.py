"""The part that all connectors share: how claims become a user, and whose account is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from broker.documents import words
from broker.documents.connector_spec import Creation
from broker.documents.section import Section, described
from broker.policy.claims import ClaimMapping, GroupRule, value_pattern
from broker.policy.template import parse_template

EVERY_VALUE = "*"
_GROUP = re.compile(r"[a-z0-9]([a-z0-9._-]{0,30}[a-z0-9])?")
_INTERNAL = re.compile(r"\{\{[^}]*\binternal\b")
_DOMAIN_HINT = "write true to make an account for everybody whom the other side lets in"


def read_mapping(spec: Section, defaults: ClaimMapping) -> ClaimMapping:
    """The mapping that a connector's `spec` says; what it leaves out is as in `defaults`."""
    return ClaimMapping(
        username=spec.text("username", _naming, default=defaults.username),
        full_name=spec.text("full_name", _naming_or_empty, default=defaults.full_name),
        email=spec.text("email", _naming_or_empty, default=defaults.email),
        groups=tuple(_read_rule(rule) for rule in spec.sections("groups")),
        traits=spec.texts_map("traits", words.trait_name, template),
    )


def _read_rule(rule: Section) -> GroupRule:
    groups = rule.texts("groups", _group)
    if not groups and "groups" not in rule:
        rule.problem("groups", "is missing", "name the groups that people with this claim come into")
    elif rule.is_empty("groups"):
        rule.problem("groups", "names no group", "name one, or remove the rule")
    read = GroupRule(
        claim=rule.text("claim", _filled, required=True),
        value=rule.text("value", _value, default=EVERY_VALUE),
        groups=groups,
    )
    rule.finish()
    return read


def mapping_document(mapping: ClaimMapping, defaults: ClaimMapping) -> dict[str, Any]:
    """A mapping as plain values, leaving out what is as in `defaults`."""
    names = ("username", "full_name", "email")
    document: dict[str, Any] = {
        name: getattr(mapping, name) for name in names if getattr(mapping, name) != getattr(defaults, name)
    }
    if mapping.groups:
        document["groups"] = [_rule_document(rule) for rule in mapping.groups]
    if mapping.traits:
        document["traits"] = {name: list(values) for name, values in mapping.traits.items()}
    return document


def _rule_document(rule: GroupRule) -> dict[str, Any]:
    value = {} if rule.value == EVERY_VALUE else {"value": rule.value}
    return {"claim": rule.claim, **value, "groups": list(rule.groups)}


def read_creation(spec: Section, key: str = "create_users") -> Creation | None:
    """Whose account is made: `true` everybody's, absent or `false` nobody's, else members' of groups and domains."""
    value = spec.take(key)
    if value is None or value is False:
        return None
    if value is True:
        return Creation()
    if not isinstance(value, Mapping):
        spec.problem(key, f"must be true, false or a mapping, not {described(value)}", _DOMAIN_HINT)
        return None
    inner = spec.section(key)
    read = Creation(inner.texts("groups", _plain_group), inner.texts("email_domains", words.host))
    if not read.groups and not read.email_domains:
        inner.problem("", "names neither groups nor email_domains", _DOMAIN_HINT)
    inner.finish()
    return read


def creation_document(creation: Creation | None) -> dict[str, Any]:
    """`create_users` as plain values; nothing if nobody's account is made."""
    if creation is None:
        return {}
    document = {"groups": list(creation.groups), "email_domains": list(creation.email_domains)}
    return {"create_users": {key: value for key, value in document.items() if value} or True}


def template(text: str) -> str:
    """Accepts text and templates over what the other side says, `{{external.NAME}}`."""
    if wrong := _filled(text):
        return wrong
    if _INTERNAL.search(text):
        return "is about what the other side says: write external, not internal"
    try:
        parse_template(text)
    except ValueError as error:
        return f"is wrong: {error}"
    return ""


def _naming(text: str) -> str:
    """A template with a hole: a fixed text would give everybody the same name."""
    if wrong := template(text):
        return wrong
    return "" if parse_template(text) else "must hold a template such as {{external.preferred_username}}"


def _naming_or_empty(text: str) -> str:
    return _naming(text) if text else ""


def _group(text: str) -> str:
    if wrong := template(text):
        return wrong
    return "" if parse_template(text) else _plain_group(text)


def _plain_group(text: str) -> str:
    if _GROUP.fullmatch(text):
        return ""
    return f"is not a name of a group: {text[:80]!r}; lower-case letters, digits and . _ - between them, at most 32"


def _value(text: str) -> str:
    if wrong := _filled(text):
        return wrong
    try:
        value_pattern(text)
    except ValueError as error:
        return f"is wrong: {error}"
    return ""


def _filled(text: str) -> str:
    if not text:
        return "is empty"
    return "" if text.isprintable() else "holds control characters"
