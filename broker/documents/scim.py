"""The kind `scim`: a client that provisions users and groups here."""

from __future__ import annotations

from typing import Any, cast, get_args

from broker.documents import words
from broker.documents.connector_spec import IdentityAttribute, ScimSpec
from broker.documents.section import Section
from broker.policy.claims import value_pattern

IDENTITY_ATTRIBUTES: tuple[IdentityAttribute, ...] = get_args(IdentityAttribute)


def read_scim(document: Section, name: str, description: str) -> ScimSpec:
    """The provisioning client that a document says; problems are noted in its sections."""
    spec = document.section("spec")
    attribute = spec.text("identity_attribute", _attribute, default=IDENTITY_ATTRIBUTES[0])
    read = ScimSpec(
        name,
        display=spec.text("display", words.label_value),
        description=description,
        enabled=spec.flag("enabled") is not False,
        identities_of=spec.text("identities_of", words.name),
        identity_attribute=cast(IdentityAttribute, attribute),
        groups=spec.texts("groups", _pattern),
    )
    if "identity_attribute" in spec and not read.identities_of:
        spec.problem("identity_attribute", "means nothing without identities_of", "name the oidc connector")
    if spec.is_empty("groups"):
        spec.problem("groups", "is empty, which would read as every group", "remove it, or name patterns")
    spec.finish()
    return read


def scim_spec_document(scim: ScimSpec) -> dict[str, Any]:
    """The `spec` of a provisioning client as plain values, leaving out what is as it is anyway."""
    attribute = "" if scim.identity_attribute == IDENTITY_ATTRIBUTES[0] else scim.identity_attribute
    document: dict[str, Any] = {
        "display": scim.display,
        "identities_of": scim.identities_of,
        "identity_attribute": attribute,
        "groups": list(scim.groups),
    }
    kept = {key: value for key, value in document.items() if value}
    return {**kept, **({} if scim.enabled else {"enabled": False})}


def _attribute(text: str) -> str:
    return "" if text in IDENTITY_ATTRIBUTES else "must be one of " + ", ".join(IDENTITY_ATTRIBUTES)


def _pattern(text: str) -> str:
    if not text or not text.isprintable():
        return "is empty or holds control characters"
    try:
        value_pattern(text)
    except ValueError as error:
        return f"is wrong: {error}"
    return ""
