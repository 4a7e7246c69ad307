"""A proof of possession (DPoP, RFC 9449): a JWT signed for one request, with the key that a token is bound to.

ES256 with a P-256 key and nothing else; one header, of exactly `typ`, `alg` and `jwk`. Pure: the clock and what was
asked are arguments, and whether a proof came before is for `accounts.proofs_seen` to say.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

WINDOW = 60
"""Seconds that a proof's `iat` may be away from our clock, either way."""
MAX_LENGTH = 8000
CACHED = 1024
_PROOF = re.compile(r"([A-Za-z0-9_-]{1,1000})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})")
_COORDINATE = re.compile(r"[A-Za-z0-9_-]{43}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.~-]{22,128}")
_THUMBPRINT = _COORDINATE
_ADDRESS = re.compile(r"(?i:https?)://[!-~]+")
_ES256 = ECDSA(SHA256())
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Flaw(StrEnum):
    """What is wrong with a proof. For logs and tests: whoever sent it hears about the clock only."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    HEADER = "header"
    KEY = "key"
    SIGNATURE = "signature"
    METHOD = "method"
    ADDRESS = "address"
    TOKEN = "token"  # noqa: S105 - a word
    IDENTIFIER = "identifier"
    CLOCK = "clock"
    REPLAYED = "replayed"


@dataclass(frozen=True, slots=True)
class Proof:
    """A good proof: `thumbprint` (RFC 7638) of the key that signed, and the `identifier` (`jti`) it may use once."""

    thumbprint: str
    identifier: str


@dataclass(frozen=True, slots=True)
class BadProof:
    """A proof that proves nothing. `clock_off`: seconds the signer's clock is ahead of ours, if that is all."""

    flaw: Flaw
    clock_off: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """The request a proof must be for: its method, the broker's own address, and the decoded path."""

    method: str
    broker: str
    path: str


def check(text: str, asked: Asked, now: float, *, thumbprint: str = "", token: str = "") -> Proof | BadProof:
    """The proof in a `DPoP` header, if it is one for this request, signed about `now` (Unix seconds).

    `thumbprint`: the key it must be signed with (empty: any). `token`: the access token it comes with (empty: none).
    """
    if not text:
        return BadProof(Flaw.MISSING)
    parts = _PROOF.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if parts is None:
        return BadProof(Flaw.UNREADABLE)
    key = _key_in(parts[1])
    if isinstance(key, Flaw):
        return BadProof(key)
    if thumbprint and not hmac.compare_digest(key.thumbprint, thumbprint):
        return BadProof(Flaw.KEY)
    claims = _mapping(parts[2])
    if claims is None:
        return BadProof(Flaw.UNREADABLE)
    if flaw := _flaw_in(claims, asked, token):
        return BadProof(flaw)
    if not _signed(key, parts):
        return BadProof(Flaw.SIGNATURE)
    ahead = claims["iat"] - now
    if not -WINDOW <= ahead <= WINDOW:
        return BadProof(Flaw.CLOCK, round(ahead))
    return Proof(key.thumbprint, claims["jti"])


def is_thumbprint(text: str) -> bool:
    """Whether this may be a key's thumbprint, as `dpop_jkt` names one."""
    return _THUMBPRINT.fullmatch(text) is not None


def clock_words(off: int) -> str:
    """How the signer's clock differs from ours, in words: a sentence without its end."""
    return f"your clock is {min(abs(off), 10**9)} s {'ahead of' if off > 0 else 'behind'} ours"


def _mapping(part: str) -> dict[str, Any] | None:
    try:
        value = json.loads(_decoded(part).decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# --- the key ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Key:
    public: EllipticCurvePublicKey
    thumbprint: str


@lru_cache(maxsize=CACHED)
def _key_in(header: str) -> _Key | Flaw:
    """The key in a proof's header. A CLI sends the same header each time, so what is in it is remembered."""
    said = _mapping(header)
    if said is None:
        return Flaw.UNREADABLE
    if said.keys() != {"typ", "alg", "jwk"} or said["typ"] != "dpop+jwt" or said["alg"] != "ES256":
        return Flaw.HEADER
    jwk = said["jwk"]
    if not isinstance(jwk, dict) or jwk.keys() != {"kty", "crv", "x", "y"}:  # what makes the thumbprint: none private
        return Flaw.KEY
    x, y = _coordinate(jwk["x"]), _coordinate(jwk["y"])
    if jwk["kty"] != "EC" or jwk["crv"] != "P-256" or x is None or y is None:
        return Flaw.KEY
    try:
        public = EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    except ValueError:
        return Flaw.KEY  # no point of the curve
    canonical = json.dumps(jwk, sort_keys=True, separators=(",", ":"))
    return _Key(public, _encoded(hashlib.sha256(canonical.encode()).digest()))


def _coordinate(given: Any) -> int | None:
    """The number, in its one spelling: with bits that say nothing one key would have several thumbprints."""
    if not isinstance(given, str) or not _COORDINATE.fullmatch(given):
        return None
    data = _decoded(given)
    return int.from_bytes(data, "big") if _encoded(data) == given else None


def _signed(key: _Key, parts: re.Match[str]) -> bool:
    signature = _decoded(parts[3])
    one, other = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.public.verify(encode_dss_signature(one, other), f"{parts[1]}.{parts[2]}".encode(), _ES256)
    except InvalidSignature:
        return False
    return True


# --- the claims -------------------------------------------------------------------------------------------------------


def _flaw_in(claims: dict[str, Any], asked: Asked, token: str) -> Flaw | None:
    """What is wrong with the claims, the clock left out; None if nothing is."""
    if claims.get("htm") != asked.method:
        return Flaw.METHOD
    address = claims.get("htu")
    if not isinstance(address, str) or not _is_address(address, asked):
        return Flaw.ADDRESS
    if token and not _is_hash_of(claims.get("ath"), token):
        return Flaw.TOKEN
    identifier = claims.get("jti")
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        return Flaw.IDENTIFIER
    at = claims.get("iat")
    return None if type(at) is int and 0 <= at < 2**53 else Flaw.CLOCK


def _is_hash_of(given: Any, token: str) -> bool:
    wanted = _encoded(hashlib.sha256(token.encode()).digest())
    return isinstance(given, str) and given.isascii() and hmac.compare_digest(given, wanted)


@lru_cache(maxsize=CACHED)
def _is_address(given: str, asked: Asked) -> bool:
    """Whether `htu` names the broker's own address and this path, in whatever spelling; a query has no place in it."""
    if not _ADDRESS.fullmatch(given) or "?" in given or "#" in given:
        return False
    try:
        parts, ours = urlsplit(given), urlsplit(asked.broker)
        same_place = "@" not in parts.netloc and _place(parts) == _place(ours)
    except ValueError:
        return False
    return same_place and unquote(parts.path) == asked.path


def _place(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
