"""A provider's signing keys (RFC 7517): from its `jwks_uri` alone, public, asymmetric; fetched anew on rotation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from accounts.oidc.discovery import Kept, Provider
from accounts.oidc.errors import NotBelieved, ProviderFailed
from accounts.oidc.fetching import WRONG, client, conversation, json_answer
from broker.documents.connector_spec import OidcSpec

PublicKey = RSAKey | ECKey | OKPKey

ALGORITHMS: Mapping[str, tuple[str, str]] = {
    "RS256": ("RSA", ""),
    "PS256": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
"""Signatures that are believed, each with the kind of key and the curve that it needs."""

MAX_KEYS = 100
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
KEEP_SECONDS = 60 * 60.0
REFETCH_SECONDS = 30.0
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_PUBLIC = frozenset({"kty", "crv", "x", "y", "n", "e", "kid", "use", "alg", "key_ops"})

_kept: Kept[tuple[PublicKey, ...]] = Kept(KEEP_SECONDS)


def key_for(spec: OidcSpec, provider: Provider, header: Mapping[str, Any]) -> PublicKey:
    """The one key that may have signed a token with this header (its `alg` is allowed).

    An unknown key makes us fetch the keys again, at most once in REFETCH_SECONDS. Raises NotBelieved, ProviderFailed.
    """
    place = (spec.issuer, spec.ca, provider.jwks_uri)
    keys = _kept.get(place, lambda: _fetch(spec, provider))
    found = _matching(keys, header)
    if not found and _kept.age(place) >= REFETCH_SECONDS:
        keys = _kept.get(place, lambda: _fetch(spec, provider), newer_than=time.monotonic())
        found = _matching(keys, header)
    if len(found) != 1:
        raise NotBelieved("unknown-key", "the token is signed with a key that is not the provider's", "sign in again")
    return found[0]


def forget() -> None:
    """Fetch all keys anew."""
    _kept.forget()


def _matching(keys: tuple[PublicKey, ...], header: Mapping[str, Any]) -> list[PublicKey]:
    """Keys by id; a token that names none must leave no choice."""
    kind, curve = ALGORITHMS[header["alg"]]
    fitting = [key for key in keys if key.key_type == kind and (not curve or key.get("crv") == curve)]
    fitting = [key for key in fitting if key.alg in (None, header["alg"])]
    return fitting if "kid" not in header else [key for key in fitting if key.get("kid") == header["kid"]]


def _fetch(spec: OidcSpec, provider: Provider) -> tuple[PublicKey, ...]:
    with conversation("keys"), client(spec.ca) as http:
        answer = http.get(provider.jwks_uri)
    return read_keys(json_answer(answer, "keys"))


def read_keys(document: Mapping[str, Any]) -> tuple[PublicKey, ...]:
    """The keys that sign, of a key set. Raises ProviderFailed for a set that must not be believed at all."""
    listed = document.get("keys")
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise ProviderFailed("bad-keys", "the provider's keys are not a key set", WRONG)
    if len(listed) > MAX_KEYS:
        raise ProviderFailed("too-many-keys", f"the provider has more than {MAX_KEYS} keys", WRONG)
    for item in listed:
        if item.get("kty") == "oct" or not _PRIVATE.isdisjoint(item):
            raise ProviderFailed(
                "secret-keys", "the provider publishes a secret key, so its tokens prove nothing", WRONG
            )
    found = tuple(key for key in map(_read, listed) if key is not None)
    if not found:
        raise ProviderFailed("no-keys", "the provider has no key that could be used", WRONG)
    return found


def _read(item: dict[str, Any]) -> PublicKey | None:
    """A key that may sign tokens; None for any other (RFC 7517, 5: what is not understood is passed over)."""
    try:
        if item.get("use", "sig") != "sig" or "verify" not in item.get("key_ops", ["verify"]):
            return None
        if item.get("kty") not in ("RSA", "EC", "OKP"):
            return None
        key = JWKRegistry.import_key({name: value for name, value in item.items() if name in _PUBLIC})
        if isinstance(key, RSAKey) and not MIN_RSA_BITS <= key.public_key.key_size <= MAX_RSA_BITS:
            return None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None
