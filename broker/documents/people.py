"""The kinds `user`, `group` and `role_binding`: people, and what they are given."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, get_args

from broker.documents import words
from broker.documents.section import Check, Section
from broker.documents.spec import BindingSpec, BindingSubject, GroupSpec, UserSpec

SUBJECT_KINDS: tuple[BindingSubject, ...] = get_args(BindingSubject)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
MAX_TRAIT_VALUE = 256


def read_user(document: Section, name: str) -> UserSpec:
    """The person that a document says; problems are noted in its sections."""
    spec = document.section("spec")
    read = UserSpec(
        name,
        full_name=spec.text("full_name", words.label_value),
        email=spec.text("email", words.email),
        groups=spec.texts("groups", words.name),
        traits=spec.texts_map("traits", words.trait_name, _trait_value),
    )
    spec.finish()
    return read


def _trait_value(text: str) -> str:
    if not text:
        return "is empty"
    return words.label_value(text)


def read_group(document: Section, name: str, description: str) -> GroupSpec:
    """The group that a document says. It has no `spec`, but an empty one does no harm."""
    document.section("spec").finish()
    return GroupSpec(name, description)


def read_binding(document: Section, name: str) -> BindingSpec:
    """The binding that a document says, named after what it binds when it has no name of its own."""
    spec = document.section("spec")
    role = spec.text("role", words.name, required=True)
    named = [(kind, spec.text(kind, _name_check(kind))) for kind in SUBJECT_KINDS]
    given = [kind for kind in SUBJECT_KINDS if kind in spec]
    if len(given) != 1:
        spec.problem("", "must name one of user, group or machine", "write a binding for each")
    kind, subject = next(((kind, text) for kind, text in named if text), (SUBJECT_KINDS[0], ""))
    expires = _read_time(spec, "expires")
    reason = spec.text("reason", words.label_value)
    spec.finish()
    derived = f"{role}:{kind}:{subject}"
    if ":" in name and name != derived:
        document.section("metadata").problem("name", f"must be {derived} or a plain name")
    return BindingSpec(name or derived, role, kind, subject, expires, reason)


def binding_name(text: str) -> str:
    """A plain name, or three with colons between, as derived ones are."""
    parts = text.split(":")
    if len(parts) != 3:
        return words.name(text)
    role, kind, subject = parts
    return words.name(role) or words.name(kind) or _name_check(kind)(subject)


def _name_check(kind: str) -> Check:
    return words.name if kind == "group" else words.user_name


def _read_time(spec: Section, key: str) -> datetime | None:
    text = spec.text(key)
    if key not in spec:
        return None
    try:
        if not _RFC3339.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        spec.problem(key, f"is not a time with a zone: {text[:40]!r}", "such as 2026-12-31T18:00:00Z")
        return None


def user_spec_document(user: UserSpec) -> dict[str, Any]:
    """The `spec` of a user as plain values."""
    document = {
        "full_name": user.full_name,
        "email": user.email,
        "groups": list(user.groups),
        "traits": {name: list(values) for name, values in user.traits.items()},
    }
    return {key: value for key, value in document.items() if value}


def group_spec_document(group: GroupSpec) -> dict[str, Any]:
    """The `spec` of a group: it says nothing."""
    return {}


def binding_spec_document(binding: BindingSpec) -> dict[str, Any]:
    """The `spec` of a binding as plain values."""
    expires = binding.expires
    document = {
        "role": binding.role,
        binding.subject_kind: binding.subject,
        "expires": expires.astimezone(UTC).isoformat().replace("+00:00", "Z") if expires else "",
        "reason": binding.reason,
    }
    return {key: value for key, value in document.items() if value}
