"""Secrets in documents: given in clear once, read back as `kept:FINGERPRINT` ever after."""

from __future__ import annotations

import re
from dataclasses import replace

from broker.documents.connector_spec import KEPT, LdapSpec, OidcSpec
from broker.documents.section import MAX_TEXT, Section

_KEPT = re.compile(r"kept:[0-9a-f]{12}")
SECRET_FIELDS = {"oidc": "client_secret", "ldap": "bind_password"}
Secretive = OidcSpec | LdapSpec


def read_secret(spec: Section, key: str) -> str:
    """A secret in clear, or `kept:FINGERPRINT`; no problem noted here ever holds what was written."""
    value = spec.take(key)
    if value is None:
        return ""
    wrong = _wrong(value) if isinstance(value, str) else "must be a string; put it in quotes"
    if wrong:
        spec.problem(key, wrong)
        return ""
    return str(value)


def _wrong(text: str) -> str:
    if not text:
        return "is empty"
    if len(text) > MAX_TEXT:
        return f"is longer than {MAX_TEXT} characters"
    if not text.isprintable():
        return "holds control characters"
    if text != text.strip():
        return "begins or ends with a space"
    if text.startswith(KEPT) and not _KEPT.fullmatch(text):
        return "begins with kept: but is no fingerprint; write it as it was read, or the secret itself"
    return ""


def is_kept(text: str) -> bool:
    """Whether a document leaves its secret as it is."""
    return text.startswith(KEPT)


def secret_of(spec: Secretive) -> str:
    """What a document says where its secret stands."""
    return str(getattr(spec, SECRET_FIELDS[spec.kind]))


def with_secret(spec: Secretive, text: str) -> Secretive:
    """The same document with `text` where its secret stands."""
    if isinstance(spec, OidcSpec):
        return replace(spec, client_secret=text)
    return replace(spec, bind_password=text)
