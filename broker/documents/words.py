"""What names, labels, addresses and headers may look like. Each check answers what is wrong, empty when nothing is."""

from __future__ import annotations

import ipaddress
import re

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_USER = re.compile(r"[a-z0-9]([a-z0-9._-]{0,30}[a-z0-9])?")
_LABEL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,62}")
_TRAIT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,64}")
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_PEM = re.compile(r"(?:\s*-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----\s*)+", re.ASCII)
MAX_LABEL = 256
MAX_PEM = 65536

# Ours to set, or about the connection itself: no document may touch them. Compared in lower case.
RESERVED_HEADERS = frozenset(
    {
        "host", "cookie", "authorization", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "expect", "forwarded",
        "via", "x-real-ip", "x-original-url", "x-original-uri", "x-rewrite-url", "x-http-method", "http2-settings",
        "x-http-method-override", "x-method-override", "range", "if-range", "content-type", "origin",
    }
)  # fmt: skip
RESERVED_PREFIXES = ("x-forwarded-", "x-postern-", "sec-", "x-envoy-", "proxy-")


def name(text: str) -> str:
    if _NAME.fullmatch(text):
        return ""
    return f"is not a name: {text[:80]!r}; lower-case letters, digits and '-' between them, at most 63"


def user_name(text: str) -> str:
    """As `accounts.names` has it for new users: it has to fit the principal of an identity certificate."""
    if _USER.fullmatch(text):
        return ""
    return f"is not a name: {text[:80]!r}; for a user, lower-case letters, digits and . _ - between them, at most 32"


def label_key(text: str) -> str:
    return "" if _LABEL_KEY.fullmatch(text) else "is not a label name (letters, digits, _ . / -, at most 63)"


def label_value(text: str) -> str:
    if len(text) > MAX_LABEL:
        return f"is longer than {MAX_LABEL} characters"
    return "" if text.isprintable() else "holds control characters"


def trait_name(text: str) -> str:
    return "" if _TRAIT.fullmatch(text) else "is not a trait name (letters, digits, _ -, at most 63, no digit first)"


def host(text: str) -> str:
    """A DNS name of lower-case labels, or one label of it; no port, no trailing dot."""
    return "" if _HOST.fullmatch(text) else f"is not a host name: {text[:80]!r}"


def host_or_address(text: str) -> str:
    """A host name or an IP address (IPv6 without brackets)."""
    if not _HOST.fullmatch(text) or text.replace(".", "").isdigit():
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return f"is not a host name or address: {text[:80]!r}"
    return "" if "%" not in text else "is an address with a zone"


def address(text: str) -> str:
    """`host:port`, IPv6 in brackets."""
    where, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65536 or len(port) > 5:
        return f"must be host:port, such as db-1.internal:22, not {text[:80]!r}"
    bare = where[1:-1] if where.startswith("[") and where.endswith("]") else where
    if ":" in bare and bare == where:
        return "needs brackets around the IPv6 address: [::1]:22"
    return host_or_address(bare)


def email(text: str) -> str:
    return "" if len(text) <= 254 and _EMAIL.fullmatch(text) else f"is not an e-mail address: {text[:80]!r}"


def header_name(text: str) -> str:
    """A header a document may set or remove: a token without `_`, and none of ours."""
    low = text.lower()
    if not _TOKEN.fullmatch(text):
        return "is not a header name"
    if low in RESERVED_HEADERS or low.startswith(RESERVED_PREFIXES):
        return "is set by the broker or belongs to the connection"
    return ""


def header_value(text: str) -> str:
    return "" if text.isascii() and text.isprintable() else "must be printable ASCII"


def pem(text: str) -> str:
    """Certificates in PEM, one after another."""
    return "" if _PEM.fullmatch(text) else "is not a certificate in PEM"
