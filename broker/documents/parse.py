"""From a raw document to the checked value of its kind, and back to plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from broker.documents import words
from broker.documents.app import app_spec_document, read_app
from broker.documents.ldap import ldap_spec_document, read_ldap
from broker.documents.load import RawDocument, load_documents
from broker.documents.oidc import oidc_spec_document, read_oidc
from broker.documents.people import (
    binding_name,
    binding_spec_document,
    group_spec_document,
    read_binding,
    read_group,
    read_user,
    user_spec_document,
)
from broker.documents.role import read_role, role_spec_document
from broker.documents.scim import read_scim, scim_spec_document
from broker.documents.section import Section
from broker.documents.server import read_server, server_spec_document
from broker.documents.spec import Spec
from broker.errors import Invalid, Problem

# In the order in which they can be made: a binding needs its role, a user their groups.
KINDS = ("group", "role", "user", "role_binding", "app", "server", "oidc", "ldap", "scim")
_KIND_ALIASES = {"node": "server"}
_LABELLED = frozenset({"role", "app", "server"})
_DESCRIBED = _LABELLED | {"group", "oidc", "ldap", "scim"}
_NAME_CHECKS = {"role_binding": binding_name, "user": words.user_name}


def parse(raw: RawDocument) -> Spec:
    """The checked value that a document says; raises Invalid naming every problem in it."""
    problems: list[Problem] = []
    spec = _read(raw, problems)
    if problems or spec is None:
        raise Invalid(_summary(problems), "nothing was changed", problems)
    return spec


def parse_text(text: str, source: str = "") -> list[Spec]:
    """All documents of a YAML text, checked; raises Invalid naming every problem in all of them."""
    return parse_all(load_documents(text, source))


def parse_all(documents: Iterable[RawDocument]) -> list[Spec]:
    """Documents, perhaps of several files, checked; the same kind and name twice is a problem too."""
    problems: list[Problem] = []
    specs: list[Spec] = []
    seen: dict[tuple[str, str], str] = {}
    for raw in documents:
        spec = _read(raw, problems)
        if spec is None:
            continue
        key = (spec.kind, spec.name)
        where = f"{raw.source or 'input'}:{raw.line}"
        if key in seen:
            message = f"{spec.kind} {spec.name} is written twice, first in {seen[key]}"
            problems.append(Problem(message, raw.source, raw.line, "metadata.name", "keep one of them"))
        seen.setdefault(key, where)
        specs.append(spec)
    if problems:
        raise Invalid(_summary(problems), "nothing was changed", problems)
    return specs


def parse_mapping(kind: str, document: Mapping[str, Any], source: str = "") -> Spec:
    """The checked value of a document that was stored as plain values; raises Invalid."""
    if document.get("kind") != kind:
        raise Invalid(f"this is not a document of kind {kind}")
    return parse(RawDocument(source, 0, document))


def to_document(spec: Spec) -> dict[str, Any]:
    """A checked value as plain values, normalised: `parse_mapping(spec.kind, to_document(spec)) == spec`."""
    metadata: dict[str, Any] = {"name": spec.name}
    if description := getattr(spec, "description", ""):
        metadata["description"] = description
    if labels := getattr(spec, "labels", None):
        metadata["labels"] = dict(labels)
    body = _SPEC_DOCUMENTS[spec.kind](spec)
    return {"kind": spec.kind, "metadata": metadata, **({"spec": body} if body else {})}


def _summary(problems: list[Problem]) -> str:
    if len(problems) == 1:
        return str(problems[0])
    return f"there are {len(problems)} problems in the documents"


def _read(raw: RawDocument, problems: list[Problem]) -> Spec | None:
    document = Section(raw.value, "", raw.source, raw.lines, problems)
    kind = document.text("kind", required=True)
    kind = _KIND_ALIASES.get(kind, kind)
    if kind not in KINDS:
        if kind:
            near = get_close_matches(kind, KINDS, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else "there are " + ", ".join(KINDS)
            document.problem("kind", f"is unknown: {kind[:40]!r}", hint)
        return None
    document.text("version", _version)
    metadata = document.section("metadata")
    name = metadata.text("name", _NAME_CHECKS.get(kind, words.name), required=kind != "role_binding")
    description = metadata.text("description", prose) if kind in _DESCRIBED else ""
    labels = metadata.text_map("labels", words.label_key, words.label_value) if kind in _LABELLED else {}
    metadata.finish()
    spec = _read_kind(kind, document, name, description, labels)
    document.finish()
    return spec


def _read_kind(kind: str, document: Section, name: str, description: str, labels: dict[str, str]) -> Spec:
    match kind:
        case "role":
            return read_role(document, name, description, labels)
        case "app":
            return read_app(document, name, description, labels)
        case "server":
            return read_server(document, name, description, labels)
        case "user":
            return read_user(document, name)
        case "group":
            return read_group(document, name, description)
        case "oidc":
            return read_oidc(document, name, description)
        case "ldap":
            return read_ldap(document, name, description)
        case "scim":
            return read_scim(document, name, description)
        case _:
            return read_binding(document, name)


def _version(text: str) -> str:
    return "" if len(text) == 2 and text[0] == "v" and text[1] in "123456789" else "must be v1 to v9, or left out"


def prose(text: str) -> str:
    """Accepts text of several lines without other control characters."""
    return "" if text.replace("\n", "").isprintable() else "holds control characters"


_SPEC_DOCUMENTS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "role": role_spec_document,
    "role_binding": binding_spec_document,
    "user": user_spec_document,
    "group": group_spec_document,
    "app": app_spec_document,
    "server": server_spec_document,
    "oidc": oidc_spec_document,
    "ldap": ldap_spec_document,
    "scim": scim_spec_document,
}
