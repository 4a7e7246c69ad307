"""Forged tokens: each by way of the whole callback, signed by a hostile provider. Deny tests, then what must pass."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from functools import partial
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from accounts.models import Connector, Identity, SignIn, User
from tests.accounts.oidc.conftest import Traveller, assert_refused, refusals
from tests.accounts.oidc.provider import EC_KEY, ED_KEY, KEY, OTHER_KEY, HostileProvider, b64, sign

pytestmark = pytest.mark.django_db


def hs256(claims: Any, secret: bytes, **header: Any) -> str:
    head = b64(json.dumps({"alg": "HS256", "kid": "one", **header}).encode())
    body = b64(json.dumps(claims).encode())
    return f"{head}.{body}.{b64(hmac.new(secret, f'{head}.{body}'.encode(), hashlib.sha256).digest())}"


def unsigned(claims: Any, alg: str, signature: str = "") -> str:
    return f"{b64(json.dumps({'alg': alg}).encode())}.{b64(json.dumps(claims).encode())}.{signature}"


def with_header(claims: Any, **header: Any) -> str:
    """An honest signature under a header that is not what was signed."""
    _, payload, signature = sign(claims).split(".")
    return f"{b64(json.dumps({'alg': 'RS256', 'kid': 'one', **header}).encode())}.{payload}.{signature}"


PEM = KEY.as_pem(private=False)
STRIPPED = b"".join(PEM.splitlines()[1:-1])
PUBLIC = KEY.as_dict(private=False)
MINE = OTHER_KEY.as_dict(private=False)
EC_384 = ECKey.generate_key("P-384", {"kid": "one"}, private=True)
SMALL = RSAKey.generate_key(1024, {"kid": "one"}, private=True)

FORGED: dict[str, tuple[Any, str]] = {
    "none": (lambda c: unsigned(c, "none"), "not-a-token"),
    "none with a signature": (lambda c: unsigned(c, "none", "eA"), "wrong-algorithm"),
    "nOnE": (lambda c: unsigned(c, "nOnE", "eA"), "wrong-algorithm"),
    "HS256 with the PEM": (lambda c: hs256(c, PEM), "wrong-algorithm"),
    "HS256 with the PEM, end stripped": (lambda c: hs256(c, PEM.strip()), "wrong-algorithm"),
    "HS256 with the bare key": (lambda c: hs256(c, STRIPPED), "wrong-algorithm"),
    "HS256 with the JWK": (lambda c: hs256(c, json.dumps(PUBLIC).encode()), "wrong-algorithm"),
    "HS256 with nothing": (lambda c: hs256(c, b""), "wrong-algorithm"),
    "HS256 with the client secret": (lambda c: hs256(c, b"s3cret +/%&: of the client"), "wrong-algorithm"),
    "HS256 called RS256": (lambda c: hs256(c, PEM, alg="RS256"), "bad-signature"),
    "another key of the same name": (lambda c: sign(c, OTHER_KEY), "bad-signature"),
    "its own key in jwk": (lambda c: sign(c, OTHER_KEY, jwk=MINE), "bad-signature"),
    "its own key in jwk, unnamed": (lambda c: sign(c, OTHER_KEY, jwk=MINE, kid="mine"), "unknown-key"),
    "its own keys at jku": (lambda c: sign(c, OTHER_KEY, jku="http://127.0.0.1:1/keys", kid="mine"), "unknown-key"),
    "its own keys at x5u": (lambda c: sign(c, OTHER_KEY, x5u="http://127.0.0.1:1/pem", kid="mine"), "unknown-key"),
    "a kid that is a path": (lambda c: sign(c, OTHER_KEY, kid="../../../dev/null"), "unknown-key"),
    "a kid that is SQL": (lambda c: sign(c, OTHER_KEY, kid="' OR 1=1 --"), "unknown-key"),
    "a kid that is a list": (lambda c: with_header(c, kid=["one"]), "not-a-token"),
    "crit": (lambda c: with_header(c, crit=["exp"], exp=1), "critical-header"),
    "crit, signed, unknown": (lambda c: sign(c, crit=["b64"], b64=True), "critical-header"),
    "RS256 called PS256": (lambda c: with_header(c, alg="PS256"), "bad-signature"),
    "RS512": (lambda c: sign(c, alg="RS512"), "wrong-algorithm"),
    "ES256 with an RSA key's name": (lambda c: sign(c, EC_KEY, alg="ES256", kid="one"), "unknown-key"),
    "ES384": (lambda c: sign(c, EC_384, alg="ES384"), "wrong-algorithm"),
    "alg in a list": (lambda c: with_header(c, alg=["RS256"]), "wrong-algorithm"),
    "no alg": (lambda c: with_header(c, alg=None), "wrong-algorithm"),
    "empty signature": (lambda c: sign(c).rpartition(".")[0] + ".", "not-a-token"),
    "another payload": (
        lambda c: ".".join(
            (sign(c).split(".")[0], b64(json.dumps({**c, "sub": "root"}).encode()), sign(c).split(".")[2])
        ),
        "bad-signature",
    ),
    "JSON serialisation": (
        lambda c: json.dumps(dict(zip(("protected", "payload", "signature"), sign(c).split("."), strict=True))),
        "not-a-token",
    ),
    "an encrypted one": (lambda c: "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkExMjhHQ00ifQ.a.b.c.d", "not-a-token"),
    "access token": (lambda c: sign(c, typ="at+jwt"), "wrong-type"),
    "logout token": (lambda c: sign(c, typ="logout+jwt"), "wrong-type"),
    "claims that are a list": (lambda c: sign([c]), "not-a-token"),
    "a claim twice": (lambda c: sign(json.dumps(c)[:-1].encode() + b', "sub": "root"}'), "not-a-token"),
    "NaN": (lambda c: sign(json.dumps({**c, "exp": float("nan")}).encode()), "not-a-token"),
    "deep": (lambda c: sign(b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"), "not-a-token"),
    "too long": (lambda c: sign({**c, "pad": "x" * 130_000}), "not-a-token"),
    "not a token at all": (lambda c: "let me in", "not-a-token"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_lets_nobody_in(op: HostileProvider, corp: Connector, traveller: Traveller, name: str) -> None:
    """L11."""
    op.forge, why = FORGED[name]
    assert_refused(traveller.there_and_back(), why)
    assert refusals() == [why]
    assert not traveller.is_in
    assert not traveller.got_past_the_first_step
    assert not User.objects.exists()


NOW = int(time.time())
LIES: dict[str, tuple[dict[str, Any], str]] = {
    "no nonce": ({"nonce": None}, "wrong-nonce"),
    "another nonce": ({"nonce": "another"}, "wrong-nonce"),
    "nonce in a list": ({"nonce": ["x"]}, "wrong-nonce"),
    "nonce said to be unsupported": ({"nonce": None, "nonce_supported": False}, "wrong-nonce"),
    "no issuer": ({"iss": None}, "wrong-issuer"),
    "another issuer": ({"iss": "https://evil.example"}, "wrong-issuer"),
    "issuer in a list": ({"iss": ["http://127.0.0.1"]}, "wrong-issuer"),
    "no audience": ({"aud": None}, "wrong-audience"),
    "another client of ours": ({"aud": "postern-staging"}, "wrong-audience"),
    "audience like ours": ({"aud": "postern "}, "wrong-audience"),
    "empty audience": ({"aud": []}, "wrong-audience"),
    "audience in audience": ({"aud": [["postern"]]}, "wrong-audience"),
    "audience that is a mapping": ({"aud": {"postern": 1}}, "wrong-audience"),
    "two audiences without azp": ({"aud": ["postern", "other"]}, "wrong-party"),
    "two audiences, azp another": ({"aud": ["postern", "other"], "azp": "other"}, "wrong-party"),
    "azp another": ({"azp": "other"}, "wrong-party"),
    "azp empty": ({"azp": ""}, "wrong-party"),
    "expired": ({"exp": NOW - 61}, "expired"),
    "no exp": ({"exp": None}, "wrong-time"),
    "exp as text": ({"exp": str(NOW + 300)}, "wrong-time"),
    "exp as a fraction": ({"exp": NOW + 300.5}, "wrong-time"),
    "exp true": ({"exp": True}, "wrong-time"),
    "exp without end": ({"exp": 10**30}, "wrong-time"),
    "from the future": ({"iat": NOW + 3600}, "not-yet-valid"),
    "no iat": ({"iat": None}, "wrong-time"),
    "not yet": ({"nbf": NOW + 3600}, "not-yet-valid"),
    "nbf as text": ({"nbf": "0"}, "wrong-time"),
    "no subject": ({"sub": None}, "wrong-subject"),
    "empty subject": ({"sub": ""}, "wrong-subject"),
    "subject that is a number": ({"sub": 1}, "wrong-subject"),
    "long subject": ({"sub": "x" * 256}, "wrong-subject"),
    "subject beyond ASCII": ({"sub": "älice"}, "wrong-subject"),
    "subject with NUL": ({"sub": "alice\0"}, "wrong-subject"),
    "another access token": ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "wrong-at-hash"),
    "at_hash that is none": ({"at_hash": 1}, "wrong-at-hash"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_token_for_somebody_or_something_else_is_refused(corp: Connector, traveller: Traveller, name: str) -> None:
    """L08, L12: signed by the provider, and yet not for this sign-in."""
    claims, why = LIES[name]
    assert_refused(traveller.there_and_back(**claims), why)
    assert refusals() == [why]
    assert not traveller.got_past_the_first_step
    assert not User.objects.exists()


@pytest.mark.parametrize("end", ["/", "/realms/x", ".evil.example", "0"])
def test_an_issuer_that_looks_alike_is_another(
    op: HostileProvider, corp: Connector, traveller: Traveller, end: str
) -> None:
    """L12: prefix and suffix."""
    assert_refused(traveller.there_and_back(iss=op.issuer + end), "wrong-issuer")
    assert_refused(traveller.there_and_back(iss=op.issuer[:-1]), "wrong-issuer")


def test_a_nonce_is_good_for_its_own_state_alone(op: HostileProvider, corp: Connector, traveller: Traveller) -> None:
    """L08: a token of an earlier sign-in, in another flow of the same browser."""
    from tests.accounts.oidc.conftest import parameters

    first = parameters(traveller.go())["nonce"]
    assert_refused(traveller.there_and_back(nonce=first), "wrong-nonce")


@pytest.mark.parametrize(
    "key, algorithm", [(KEY, "RS256"), (KEY, "PS256"), (EC_KEY, "ES256"), (ED_KEY, "EdDSA"), (ED_KEY, "Ed25519")]
)
def test_what_is_signed_well_is_believed(
    op: HostileProvider, corp: Connector, traveller: Traveller, key: Any, algorithm: str
) -> None:
    def forge(claims: dict[str, Any]) -> str:
        return sign({name: value for name, value in claims.items() if name != "at_hash"}, key, alg=algorithm)

    op.keys, op.forge = [KEY, EC_KEY, ED_KEY], forge
    assert traveller.there_and_back()["Location"] == "/sign-in/enrol"
    assert Identity.objects.get().subject == "alice-at-corp"


@pytest.mark.parametrize(
    "claims", [{"aud": ["postern"]}, {"aud": ["postern", "b"], "azp": "postern"}, {"at_hash": None}]
)
def test_what_may_be_said_otherwise_is_believed_too(
    corp: Connector, traveller: Traveller, claims: dict[str, Any]
) -> None:
    assert traveller.there_and_back(**claims)["Location"] == "/sign-in/enrol"


@pytest.mark.parametrize("skew, believed", [(-50, True), (50, True), (-361, False), (70, False)])
def test_clocks_may_differ_by_a_minute(
    op: HostileProvider, corp: Connector, traveller: Traveller, skew: int, believed: bool
) -> None:
    op.skew = skew
    page = traveller.there_and_back()
    assert (page.status_code == 302) is believed
    assert SignIn.objects.exists() is believed


def test_a_provider_may_change_its_keys(op: HostileProvider, corp: Connector, traveller: Traveller) -> None:
    """An unknown key makes us ask again, at most once in half a minute; the old ones are refused then."""
    from accounts.oidc import keys

    new = RSAKey.generate_key(2048, {"kid": "two"}, private=True)
    assert traveller.there_and_back().status_code == 302
    op.keys, op.forge = [new], lambda claims: sign(claims, new)
    asked = op.asked.count("/keys")
    assert_refused(traveller.there_and_back(), "unknown-key")
    assert op.asked.count("/keys") == asked, "asked again within half a minute"
    _make_older(keys._kept, keys.REFETCH_SECONDS + 1)
    assert traveller.there_and_back().status_code == 302
    assert op.asked.count("/keys") == asked + 1
    op.forge = sign
    assert_refused(traveller.there_and_back(), "unknown-key")


def _make_older(kept: Any, seconds: float) -> None:
    kept._values = {key: (at - seconds, value) for key, (at, value) in kept._values.items()}


def test_a_flood_of_unknown_keys_is_no_flood_at_the_provider(
    op: HostileProvider, corp: Connector, traveller: Traveller
) -> None:
    for number in range(10):
        op.forge = partial(sign, key=OTHER_KEY, kid=f"k{number}")
        assert_refused(traveller.there_and_back(), "unknown-key")
    assert op.asked.count("/keys") == 1


BAD_KEYS: dict[str, tuple[Any, str, int]] = {
    "no list": ({"keys": {}}, "bad-keys", 503),
    "nothing": ({}, "bad-keys", 503),
    "no keys": ({"keys": []}, "no-keys", 503),
    "ten thousand": ({"keys": [PUBLIC] * 10_000}, "answer-too-large", 503),
    "a hundred and one": ({"keys": [{"kty": "RSA"}] * 101}, "too-many-keys", 503),
    "oct": ({"keys": [PUBLIC, OctKey.generate_key(256).as_dict(private=True)]}, "secret-keys", 503),
    "private": ({"keys": [KEY.as_dict(private=True)]}, "secret-keys", 503),
    "too small": ({"keys": [SMALL.as_dict(private=False)]}, "no-keys", 503),
    "for encryption": ({"keys": [{**PUBLIC, "use": "enc"}]}, "no-keys", 503),
    "damaged": (
        {"keys": [{"kty": "RSA", "kid": "one", "n": "!", "e": 5}, {"kty": "EC", "key_ops": 5}, {"kty": []}, {}]},
        "no-keys",
        503,
    ),
    "for another algorithm": ({"keys": [{**PUBLIC, "alg": "PS256"}]}, "unknown-key", 403),
    "two of the same name": ({"keys": [PUBLIC, MINE]}, "unknown-key", 403),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_keys_that_must_not_be_believed(op: HostileProvider, corp: Connector, traveller: Traveller, name: str) -> None:
    """L13."""
    op.jwks, why, status = BAD_KEYS[name]
    assert_refused(traveller.there_and_back(), why, status)


def test_an_hmac_under_a_published_oct_key_is_refused(
    op: HostileProvider, corp: Connector, traveller: Traveller
) -> None:
    """L11, L13."""
    secret = b"0123456789abcdef0123456789abcdef"
    k = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    op.jwks = {"keys": [PUBLIC, {"kty": "oct", "kid": "h", "k": k}]}
    op.forge = lambda claims: hs256(claims, secret, kid="h")
    assert_refused(traveller.there_and_back(), "wrong-algorithm")
