"""The kind `oidc`: an OpenID Provider that people sign in with."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from broker.documents import words
from broker.documents.connector_spec import OidcSpec, ProviderFactor
from broker.documents.mapping import creation_document, mapping_document, read_creation, read_mapping
from broker.documents.secret import read_secret
from broker.documents.section import Section
from broker.policy.claims import ClaimMapping

OIDC_MAPPING = ClaimMapping(
    username="{{external.preferred_username}}", full_name="{{external.name}}", email="{{external.email}}"
)
SUBJECT_CLAIMS = ("sub", "oid")
SCOPES = ("openid", "email", "profile")
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,256}")  # RFC 6749, appendix A.4
_OF_AN_ADDRESS = re.compile(r"[A-Za-z0-9._~:/\[\]!$&'()*+,;=%-]{1,500}")


def read_oidc(document: Section, name: str, description: str) -> OidcSpec:
    """The OpenID Provider that a document says; problems are noted in its sections."""
    spec = document.section("spec")
    subject_claim = spec.text("subject_claim", _subject_claim, default="sub")
    read = OidcSpec(
        name,
        issuer=spec.text("issuer", issuer, required=True),
        client_id=spec.text("client_id", _client_id, required=True),
        client_secret=read_secret(spec, "client_secret"),
        display=spec.text("display", words.label_value),
        description=description,
        enabled=spec.flag("enabled") is not False,
        scopes=spec.texts("scopes", _scope) if "scopes" in spec else SCOPES,
        subject_claim="oid" if subject_claim == "oid" else "sub",
        acr_values=spec.texts("acr_values", _scope),
        endpoint_hosts=spec.texts("endpoint_hosts", _host),
        ca=spec.text("ca", words.pem, longest=words.MAX_PEM),
        mapping=read_mapping(spec, OIDC_MAPPING),
        creation=read_creation(spec),
        second_factor=_read_factor(spec),
        logout=spec.flag("logout") is not False,
    )
    if "openid" not in read.scopes:
        spec.problem("scopes", "must hold openid", "without it this is no OpenID Connect")
    spec.note("scopes")
    spec.finish()
    return read


def _read_factor(spec: Section) -> ProviderFactor | None:
    factor = spec.section("second_factor")
    if "second_factor" not in spec:
        return None
    read = ProviderFactor(amr=factor.texts("amr", _scope), acr=factor.texts("acr", _scope))
    if not read.amr and not read.acr:
        factor.problem("", "names neither amr nor acr", "say what counts as a second factor, or remove it")
    factor.finish()
    return read


def oidc_spec_document(oidc: OidcSpec) -> dict[str, Any]:
    """The `spec` of an OpenID Provider as plain values, leaving out what is as it is anyway."""
    factor = oidc.second_factor
    document: dict[str, Any] = {
        "issuer": oidc.issuer,
        "client_id": oidc.client_id,
        "client_secret": oidc.client_secret,
        "display": oidc.display,
        "scopes": [] if oidc.scopes == SCOPES else list(oidc.scopes),
        "subject_claim": "" if oidc.subject_claim == "sub" else oidc.subject_claim,
        "acr_values": list(oidc.acr_values),
        "endpoint_hosts": list(oidc.endpoint_hosts),
        "ca": oidc.ca,
        "second_factor": {"amr": list(factor.amr), "acr": list(factor.acr)} if factor else {},
    }
    document["second_factor"] = {key: value for key, value in document["second_factor"].items() if value}
    kept = {key: value for key, value in document.items() if value}
    flags = {**({} if oidc.enabled else {"enabled": False}), **({} if oidc.logout else {"logout": False})}
    return {**kept, **flags, **mapping_document(oidc.mapping, OIDC_MAPPING), **creation_document(oidc.creation)}


def issuer(text: str) -> str:
    """An issuer as the provider writes it in its tokens: https, or http on this machine; compared letter by letter."""
    if not _OF_AN_ADDRESS.fullmatch(text):
        return "is not an issuer: an address without query, fragment, user or blanks, at most 500 characters"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"is not an address: {error}"
    if not text.startswith(("https://", "http://")):
        return "must begin with https://"
    if port == 0 or parts.netloc.endswith(":"):
        return "has no such port"
    if wrong := words.host_or_address(host):
        return wrong
    if parts.scheme == "http" and not is_this_machine(host):
        return "must begin with https:// (http is for this machine only)"
    if text.endswith("/.well-known/openid-configuration"):
        return "is the address of the discovery document: leave /.well-known/openid-configuration out"
    return ""


def is_this_machine(host: str) -> bool:
    """Whether a host name or address can only be this machine: loopback, `localhost` and names under it (RFC 6761)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _client_id(text: str) -> str:
    if not text:
        return "is empty"
    return "" if text.isascii() and text.isprintable() and len(text) <= 500 else "must be printable ASCII"


def _host(text: str) -> str:
    return words.address(text) if ":" in text else words.host_or_address(text)


def _scope(text: str) -> str:
    return "" if _SCOPE.fullmatch(text) else f"is not one word of printable ASCII: {text[:80]!r}"


def _subject_claim(text: str) -> str:
    return "" if text in SUBJECT_CLAIMS else "must be sub, or oid for Entra ID"
