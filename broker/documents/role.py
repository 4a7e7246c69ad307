"""The kind `role`: Teleport's shape and names where the meaning is the same."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from broker.documents import words
from broker.documents.duration import duration_text
from broker.documents.mfa import mfa_document, read_duration, read_mfa
from broker.documents.section import Section
from broker.policy.attempt import ADMIN_KINDS, ADMIN_VERBS
from broker.policy.condition import compile_condition
from broker.policy.grant import compile_labels
from broker.policy.login import is_login
from broker.policy.method import KNOWN
from broker.policy.path import path_pattern
from broker.policy.role import AdminRule, Options, RoleSpec, Rules
from broker.policy.template import parse_template

ANY = "*"
_KIND_ALIASES = {"role_binding": "binding"}
_FLAGS = ("pin_source_ip", "forward_agent", "ssh_file_copy", "permit_x11_forwarding", "pty")


def read_role(document: Section, name: str, description: str, labels: dict[str, str]) -> RoleSpec:
    """The role that a document says; problems are noted in its sections."""
    spec = document.section("spec")
    options = _read_options(spec.section("options"))
    allow = _read_rules(spec.section("allow"), denies=False)
    deny = _read_rules(spec.section("deny"), denies=True)
    for key in ("conditions", "where"):
        if key in spec:
            spec.take(key)
            spec.problem(key, "stands in the wrong place", "conditions belong under spec.allow or spec.deny")
    spec.finish()
    return RoleSpec(name, description, labels, allow, deny, options)


def _read_rules(side: Section, *, denies: bool) -> Rules:
    rules = Rules(
        logins=side.texts("logins", _deny_login if denies else _allow_login),
        server_labels=_read_labels(side, "server_labels", "node_labels"),
        app_labels=_read_labels(side, "app_labels"),
        paths=side.texts("paths", _path),
        methods=side.texts("methods", _method),
        rules=tuple(_read_admin_rule(rule) for rule in side.sections("rules")),
        conditions=side.texts("conditions", _condition),
    )
    for key in ("paths", "methods", "conditions"):
        if side.is_empty(key):
            side.problem(key, "is empty", "leave it out, or say which")
    side.finish()
    return rules


def _read_labels(side: Section, key: str, alias: str = "") -> dict[str, tuple[str, ...]]:
    if alias and alias in side:
        if key in side:
            side.problem(alias, f"is another name of {key}", "write one of them")
        key, unused = alias, key
        side.note(unused)
    labels = side.texts_map(key, _label_key, _label_pattern)
    if alias:
        side.note(alias)
    if ANY in labels and (len(labels) > 1 or labels[ANY] != (ANY,)):
        side.problem(key, "has the key '*', which stands alone and with the value '*'")
    return labels


def _read_admin_rule(rule: Section) -> AdminRule:
    resources = tuple(_KIND_ALIASES.get(kind, kind) for kind in rule.texts("resources", _admin_kind))
    verbs = rule.texts("verbs", _admin_verb)
    for key, values in (("resources", resources), ("verbs", verbs)):
        if not values and key not in rule:
            rule.problem(key, "is missing")
    rule.finish()
    return AdminRule(resources, verbs)


def _read_options(options: Section) -> Options:
    local, remote = _read_forwarding(options)
    read = Options(
        **cast(Any, asdict(read_mfa(options))),
        max_session_ttl=read_duration(options, "max_session_ttl"),
        forward_local=local,
        forward_remote=remote,
        **cast(Any, {flag: options.flag(flag) for flag in _FLAGS}),
    )
    options.finish()
    return read


def _read_forwarding(options: Section) -> tuple[bool | None, bool | None]:
    """`port_forwarding: true` is short for both directions of `ssh_port_forwarding`."""
    both = options.flag("port_forwarding")
    section = options.section("ssh_port_forwarding")
    ways = []
    for way in ("local", "remote"):
        inner = section.section(way)
        ways.append(inner.flag("enabled"))
        inner.finish()
    section.finish()
    if both is None:
        return ways[0], ways[1]
    if "ssh_port_forwarding" in options:
        options.problem("port_forwarding", "says the same as ssh_port_forwarding", "write one of them")
    return both, both


def _allow_login(text: str) -> str:
    if text == ANY:
        return "would allow every login: name them"
    return _deny_login(text)


def _deny_login(text: str) -> str:
    try:
        template = parse_template(text)
    except ValueError as error:
        return f"is wrong: {error}"
    plain = text if template is None else template.before + "x" + template.after
    return "" if text == ANY or is_login(plain) else f"is not a login: {text[:80]!r}"


def _label_key(text: str) -> str:
    return "" if text == ANY else words.label_key(text)


def _label_pattern(text: str) -> str:
    if wrong := words.label_value(text):
        return wrong
    try:
        if text.startswith("^") and text.endswith("$") and parse_template(text) is not None:
            return "has a template in a regular expression, which is not supported"
        compile_labels({"key": (text,)}, {})
    except ValueError as error:
        return f"is wrong: {error}"
    return ""


def _path(text: str) -> str:
    try:
        path_pattern(text)
    except ValueError as error:
        return f"is wrong: {error}"
    return ""


def _method(text: str) -> str:
    return "" if text in KNOWN else f"is not a known method: {text[:20]!r}"


def _condition(text: str) -> str:
    try:
        compile_condition(text)
    except ValueError as error:
        return f"is wrong: {error}"
    return ""


def _admin_kind(text: str) -> str:
    known = text in ADMIN_KINDS or text in _KIND_ALIASES or text == ANY
    return "" if known else f"is not a kind: {text[:40]!r}; there are " + ", ".join(ADMIN_KINDS)


def _admin_verb(text: str) -> str:
    known = text in ADMIN_VERBS or text == ANY
    return "" if known else f"is not a verb: {text[:40]!r}; there are " + ", ".join(ADMIN_VERBS)


def role_spec_document(role: RoleSpec) -> dict[str, Any]:
    """The `spec` of a role as plain values, leaving out what says nothing."""
    spec = {
        "options": _options_document(role.options),
        "allow": _rules_document(role.allow),
        "deny": _rules_document(role.deny),
    }
    return {key: value for key, value in spec.items() if value}


def _rules_document(rules: Rules) -> dict[str, Any]:
    document = {
        "logins": list(rules.logins),
        "server_labels": {key: list(values) for key, values in rules.server_labels.items()},
        "app_labels": {key: list(values) for key, values in rules.app_labels.items()},
        "paths": list(rules.paths),
        "methods": list(rules.methods),
        "rules": [{"resources": list(rule.resources), "verbs": list(rule.verbs)} for rule in rules.rules],
        "conditions": list(rules.conditions),
    }
    return {key: value for key, value in document.items() if value}


def _options_document(options: Options) -> dict[str, Any]:
    document: dict[str, Any] = {flag: getattr(options, flag) for flag in _FLAGS}
    document |= mfa_document(options)
    document["max_session_ttl"] = None if options.max_session_ttl is None else duration_text(options.max_session_ttl)
    forwarding = {
        way: {"enabled": enabled}
        for way, enabled in (("local", options.forward_local), ("remote", options.forward_remote))
        if enabled is not None
    }
    document["ssh_port_forwarding"] = forwarding or None
    return {key: value for key, value in document.items() if value is not None}
