"""The check of a proof: what must be refused, by name, then what is taken. Proofs are made by joserfc, not by us."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from accounts import dpop
from accounts.dpop import Asked, BadProof, Flaw, Proof, check
from tests.dpop import Key

NOW = 1_800_000_000
BROKER, PATH = "https://access.example.com", "/api/v1/status"
ADDRESS = BROKER + PATH
ASKED = Asked("GET", BROKER, PATH)
TOKEN = "ptn_cli_" + "a" * 43
KEY, OTHER = Key(), Key()


def proof(key: Key = KEY, **changes: Any) -> str:
    return key.proof("GET", ADDRESS, TOKEN, **{"iat": NOW, **changes})


def checked(text: str, asked: Asked = ASKED, now: float = NOW, **bound: str) -> Proof | BadProof:
    return check(text, asked, now, **{"thumbprint": KEY.thumbprint, "token": TOKEN, **bound})


def coordinate(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


def swapped(text: str, part: int, other: str) -> str:
    """A proof with one of its three parts taken from another."""
    mine, theirs = text.split("."), other.split(".")
    mine[part] = theirs[part]
    return ".".join(mine)


def without_meaning(text: str) -> str:
    """The same coordinate, spelled with bits that say nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


JWK = KEY.jwk


@pytest.mark.parametrize(
    ("flaw", "changes"),
    [
        (Flaw.HEADER, {"header": {"typ": "JWT"}}),
        (Flaw.HEADER, {"header": {"typ": None}}),
        (Flaw.HEADER, {"header": {"jwk": None}}),
        (Flaw.HEADER, {"header": {"kid": "mine"}}),
        (Flaw.HEADER, {"header": {"jku": "https://evil.example/keys"}}),
        (Flaw.KEY, {"header": {"jwk": OTHER.jwk}}),
        (Flaw.KEY, {"header": {"jwk": KEY.private_jwk}}),
        (Flaw.KEY, {"header": {"jwk": {**JWK, "kid": "mine"}}}),
        (Flaw.KEY, {"header": {"jwk": {**JWK, "crv": "P-384"}}}),
        (Flaw.KEY, {"header": {"jwk": {**JWK, "kty": "RSA"}}}),
        (Flaw.KEY, {"header": {"jwk": {**JWK, "x": coordinate(1), "y": coordinate(1)}}}),
        (Flaw.KEY, {"header": {"jwk": {**JWK, "x": without_meaning(JWK["x"])}}}),
        (Flaw.KEY, {"header": {"jwk": {**JWK, "x": 7}}}),
        (Flaw.METHOD, {"htm": "POST"}),
        (Flaw.METHOD, {"htm": "get"}),
        (Flaw.METHOD, {"htm": None}),
        (Flaw.ADDRESS, {"htu": None}),
        (Flaw.ADDRESS, {"htu": 7}),
        (Flaw.ADDRESS, {"htu": PATH}),
        (Flaw.ADDRESS, {"htu": BROKER}),
        (Flaw.ADDRESS, {"htu": f"{ADDRESS}/"}),
        (Flaw.ADDRESS, {"htu": f"{ADDRESS}?x=1"}),
        (Flaw.ADDRESS, {"htu": f"{ADDRESS}#x"}),
        (Flaw.ADDRESS, {"htu": f"{ADDRESS}?"}),
        (Flaw.ADDRESS, {"htu": f"{BROKER}/api/v1/ssh"}),
        (Flaw.ADDRESS, {"htu": ADDRESS.replace("https", "http")}),
        (Flaw.ADDRESS, {"htu": ADDRESS.replace(".com", ".com:8443")}),
        (Flaw.ADDRESS, {"htu": ADDRESS.replace("https://", "https://alice@")}),
        (Flaw.ADDRESS, {"htu": ADDRESS.replace(".com", ".com.evil.example")}),
        (Flaw.ADDRESS, {"htu": f"https://evil.example{PATH}"}),
        (Flaw.ADDRESS, {"htu": f"\t{ADDRESS}"}),
        (Flaw.ADDRESS, {"htu": ADDRESS.replace(".com", ".com:port")}),
        (Flaw.TOKEN, {"ath": None}),
        (Flaw.TOKEN, {"ath": "x"}),
        (Flaw.TOKEN, {"ath": ["x"]}),
        (Flaw.IDENTIFIER, {"jti": None}),
        (Flaw.IDENTIFIER, {"jti": ""}),
        (Flaw.IDENTIFIER, {"jti": "a" * 21}),
        (Flaw.IDENTIFIER, {"jti": "a" * 129}),
        (Flaw.IDENTIFIER, {"jti": "a" * 30 + "\n"}),
        (Flaw.IDENTIFIER, {"jti": 10**30}),
        (Flaw.CLOCK, {"iat": None}),
        (Flaw.CLOCK, {"iat": str(NOW)}),
        (Flaw.CLOCK, {"iat": NOW + 0.5}),
        (Flaw.CLOCK, {"iat": True}),
        (Flaw.CLOCK, {"iat": -1}),
        (Flaw.CLOCK, {"iat": 10**400}),
        (Flaw.CLOCK, {"iat": float("nan")}),
    ],
)
def test_whatever_is_wrong_has_a_name(flaw: Flaw, changes: dict[str, Any]) -> None:
    assert checked(proof(**changes)) == BadProof(flaw)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "..",
        "a.b.c",
        f"{proof()}.x",
        f" {proof()}",
        f"{proof()}\n",
        f"{proof()}=",
        f"{proof()},{proof()}",
        proof(jti="a" * 9000),
        KEY.signed({"typ": "dpop+jwt", "alg": "ES256", "jwk": JWK}, ["a list"]),
    ],
)
def test_what_is_no_proof_is_unreadable(text: str) -> None:
    assert checked(text) == BadProof(Flaw.UNREADABLE)


def test_no_proof_is_none() -> None:
    assert checked("") == BadProof(Flaw.MISSING)


def nested(depth: int) -> str:
    part = base64.urlsafe_b64encode(b"[" * depth).rstrip(b"=").decode()
    return f"{part[:1000]}.{part}.{'a' * 86}"


def test_deep_nesting_is_only_unreadable() -> None:
    header = proof().split(".")[0]
    assert checked(nested(5000)) == BadProof(Flaw.UNREADABLE)
    assert checked(f"{header}.{nested(5000).split('.')[1]}.{'a' * 86}") == BadProof(Flaw.UNREADABLE)


@pytest.mark.parametrize("part", [1, 2])
def test_a_proof_sewn_together_from_two_is_not_signed(part: int) -> None:
    assert checked(swapped(proof(), part, proof())) == BadProof(Flaw.SIGNATURE)


def test_a_signature_of_another_key_is_none() -> None:
    assert checked(proof(OTHER, header={"jwk": JWK})) == BadProof(Flaw.SIGNATURE)


def test_zeros_are_no_signature() -> None:
    """The signature that once opened every door in one platform's ECDSA."""
    head, claims, _ = proof().split(".")
    assert checked(f"{head}.{claims}.{'A' * 86}") == BadProof(Flaw.SIGNATURE)


def test_no_other_algorithm_is_taken() -> None:
    """None at all, a MAC with the public key as its secret, RSA, another curve."""
    claims = json.dumps({"jti": "a" * 22, "htm": "GET", "htu": ADDRESS, "iat": NOW})
    rsa, p384 = RSAKey.generate_key(2048), ECKey.generate_key("P-384")
    made: list[tuple[Any, str, Any]] = [
        (OctKey.import_key(json.dumps(JWK)), "HS256", JWK),
        (rsa, "RS256", rsa.as_dict(private=False)),
        (p384, "ES384", p384.as_dict(private=False)),
    ]
    for key, algorithm, jwk in made:
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        header = {"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk}
        text = jws.serialize_compact(header, claims, key, registry=registry)
        assert isinstance(checked(text, thumbprint="", token=""), BadProof), algorithm
    unsigned = base64.urlsafe_b64encode(json.dumps({"typ": "dpop+jwt", "alg": "none", "jwk": JWK}).encode())
    part = base64.urlsafe_b64encode(claims.encode()).rstrip(b"=").decode()
    assert checked(f"{unsigned.rstrip(b'=').decode()}.{part}.{'A' * 86}", token="") == BadProof(Flaw.HEADER)


@pytest.mark.parametrize("seconds", [-61, 61, -3600, 86_400])
def test_a_clock_beyond_the_window_is_told_by_how_much(seconds: int) -> None:
    assert checked(proof(iat=NOW + seconds)) == BadProof(Flaw.CLOCK, seconds)


def test_the_clock_is_told_only_to_whoever_has_the_key() -> None:
    off: Any = {"iat": NOW + 3600}
    assert checked(proof(OTHER, **off)) == BadProof(Flaw.KEY)
    assert checked(proof(OTHER, header={"jwk": JWK}, **off)) == BadProof(Flaw.SIGNATURE)
    assert checked(proof(ath=None, **off)) == BadProof(Flaw.TOKEN)


def test_a_difference_of_clocks_in_words() -> None:
    assert dpop.clock_words(90) == "your clock is 90 s ahead of ours"
    assert dpop.clock_words(-90) == "your clock is 90 s behind ours"


@given(some.text(alphabet="abc._-=0AZ", max_size=300))
def test_nothing_that_is_sent_breaks_the_check(text: str) -> None:
    assert isinstance(checked(text), BadProof)


@pytest.mark.parametrize("seconds", [-60, 0, 60])
def test_a_good_proof_is_good_within_the_window(seconds: int) -> None:
    found = checked(proof(iat=NOW + seconds, jti="j" * 22))
    assert found == Proof(KEY.thumbprint, "j" * 22)


@pytest.mark.parametrize(
    "address",
    [
        ADDRESS,
        "HTTPS://Access.Example.COM:443/api/v1/status",
        f"{BROKER}/api/v1/%73tatus",
    ],
)
def test_other_spellings_of_the_address_are_the_address(address: str) -> None:
    assert isinstance(checked(proof(htu=address)), Proof)


def test_a_path_is_compared_as_the_server_reads_it() -> None:
    asked = Asked("GET", BROKER, "/api/v1/admin/role/../user/x y")
    assert isinstance(checked(proof(htu=f"{BROKER}/api/v1/admin/role/..%2Fuser%2Fx%20y"), asked), Proof)
    assert isinstance(checked(proof(htu=f"{BROKER}/api/v1/admin/user/x%20y"), asked), BadProof)


def test_without_a_token_to_hash_none_is_asked_for() -> None:
    assert isinstance(check(KEY.proof("GET", ADDRESS, iat=NOW), ASKED, NOW), Proof)


def test_a_thumbprint_is_that_of_rfc_7638() -> None:
    found = check(OTHER.proof("GET", ADDRESS, iat=NOW), ASKED, NOW)
    assert isinstance(found, Proof)
    assert found.thumbprint == OTHER.thumbprint
    assert dpop.is_thumbprint(found.thumbprint)
    assert not dpop.is_thumbprint(found.thumbprint + "\n")
