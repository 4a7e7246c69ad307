"""Tokens of providers: who signed them, for whom, and when. Nothing is believed before the signature is.

OpenID Connect Core 1.0, 3.1.3.7; Back-Channel Logout 1.0, 2.6; RFC 8725.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning

from accounts.oidc.errors import NotBelieved, ProviderFailed
from accounts.oidc.fetching import json_object
from accounts.oidc.keys import ALGORITHMS, PublicKey
from broker.tokens import same

SKEW = 60
"""Seconds that clocks may differ by."""

LONGEST_TOKEN = 128 * 1024
LONGEST_SUBJECT = 255
LONGEST_LOGOUT_LIFE = 24 * 3600
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_WORD = re.compile(r"[\x21-\x7e]{1,255}")
_JWS = jws.JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
_JWS.max_header_length = 16 * 1024

KeyFinder = Callable[[Mapping[str, Any]], PublicKey]
Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token must say. `not_before` is when the person must have signed in there at the earliest (Unix
    seconds), if that was asked for; `access_token` is what `at_hash` is of.
    """

    issuer: str
    client_id: str
    nonce: str = field(repr=False)
    access_token: str = field(repr=False)
    now: int
    not_before: int | None = None


def id_token(token: str, find_key: KeyFinder, expected: Expected) -> Claims:
    """The claims of an ID token. Raises NotBelieved with a stable name for what is wrong."""
    header, claims = _opened(token, find_key, types=("jwt",))
    _check_parties(claims, expected.issuer, expected.client_id)
    _check_times(claims, expected.now)
    if not isinstance(claims.get("nonce"), str) or not same(claims["nonce"], expected.nonce):
        raise _refused("wrong-nonce", "it does not belong to this sign-in")
    _check_subject(claims.get("sub"))
    if "at_hash" in claims and claims["at_hash"] != _half_hash(expected.access_token, header["alg"]):
        raise _refused("wrong-at-hash", "it does not belong to the access token beside it")
    if expected.not_before is not None:
        at = _seconds(claims, "auth_time")
        if at < expected.not_before - SKEW or at > expected.now + SKEW:
            raise _refused("not-signed-in-anew", "the provider did not ask you to sign in again")
    return claims


def logout_token(token: str, find_key: KeyFinder, issuer: str, client_id: str, now: int) -> Claims:
    """The claims of a back-channel logout token; that its `jti` came once is for the caller. Raises NotBelieved."""
    _, claims = _opened(token, find_key, types=("logout+jwt", "jwt"))
    _check_parties(claims, issuer, client_id)
    _check_times(claims, now)
    if claims["exp"] > now + LONGEST_LOGOUT_LIFE:
        raise _refused("wrong-time", "it is valid for too long")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise _refused("no-logout-event", "it is no logout token")
    if "nonce" in claims:
        raise _refused("nonce-in-logout", "it is no logout token")
    if not isinstance(claims.get("jti"), str) or not _WORD.fullmatch(claims["jti"]):
        raise _refused("no-jti", "it has no id of its own")
    if "sub" not in claims and "sid" not in claims:
        raise _refused("nobody-named", "it names nobody")
    for name in ("sub", "sid"):
        if name in claims:
            _check_subject(claims[name])
    return claims


def _opened(token: str, find_key: KeyFinder, types: tuple[str, ...]) -> tuple[Mapping[str, Any], Claims]:
    if not isinstance(token, str) or len(token) > LONGEST_TOKEN or not _COMPACT.fullmatch(token):
        raise _refused("not-a-token", "it is no signed token")
    header = _header(token)
    if not isinstance(header.get("alg"), str) or header["alg"] not in ALGORITHMS:
        raise _refused("wrong-algorithm", "it is not signed in a way that is believed")
    if "crit" in header or "b64" in header:
        raise _refused("critical-header", "it demands something that is not known here")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in types:
        raise _refused("wrong-type", "it is a token for something else")
    if "kid" in header and not isinstance(header["kid"], str):
        raise _refused("not-a-token", "it is no signed token")
    key = find_key(header)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # EdDSA is believed with Ed25519 alone: see `keys`
            payload = jws.deserialize_compact(token, key, registry=_JWS).payload
    except (JoseError, ValueError, TypeError):
        raise _refused("bad-signature", "its signature is wrong") from None
    return header, _object(payload or b"")


def _header(token: str) -> Mapping[str, Any]:
    first = token.partition(".")[0]
    try:
        return _object(base64.b64decode(first + "=" * (-len(first) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise _refused("not-a-token", "it is no signed token") from None


def _object(text: bytes) -> Claims:
    try:
        return json_object(text, "token")
    except ProviderFailed:
        raise _refused("not-a-token", "it is no signed token") from None


def _check_parties(claims: Claims, issuer: str, client_id: str) -> None:
    if claims.get("iss") != issuer:
        raise _refused("wrong-issuer", "it is from another issuer")
    audience = claims.get("aud")
    audiences: list[Any] = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences or not all(isinstance(item, str) for item in audiences):
        raise _refused("wrong-audience", "it is for somebody else")
    if (len(audiences) > 1 and "azp" not in claims) or claims.get("azp", client_id) != client_id:
        raise _refused("wrong-party", "it was issued to somebody else")


def _check_times(claims: Claims, now: int) -> None:
    if _seconds(claims, "exp") <= now - SKEW:
        raise _refused("expired", "it is too old; the clocks here and there may differ")
    if _seconds(claims, "iat") > now + SKEW or ("nbf" in claims and _seconds(claims, "nbf") > now + SKEW):
        raise _refused("not-yet-valid", "it is from the future; the clocks here and there may differ")


def _seconds(claims: Claims, name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or not 0 < value < 2**40:
        raise _refused("wrong-time", f"it has no time {name} as it must")
    return value


def check_subject(value: object) -> str:
    """A subject as an identity may have it: 1 to 255 printable ASCII characters. Raises NotBelieved."""
    _check_subject(value)
    return str(value)


def _check_subject(value: object) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_SUBJECT or not value.isascii():
        raise _refused("wrong-subject", "it names nobody in a way that can be kept")
    if not value.isprintable():
        raise _refused("wrong-subject", "it names nobody in a way that can be kept")


def _half_hash(text: str, algorithm: str) -> str:
    digest = (hashlib.sha512 if ALGORITHMS[algorithm][0] == "OKP" else hashlib.sha256)(text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _refused(why: str, words: str) -> NotBelieved:
    return NotBelieved(
        why, f"the provider's token is refused: {words}", "sign in again; if it happens again, ask an administrator"
    )
