"""Who calls: a token is worth nothing without its key, and a proof is worth one call."""

from __future__ import annotations

import time
from typing import Any

import pytest

from accounts.models import LoginSession
from tests.broker.cast import Actor, Cast, client
from tests.dpop import BROKER, Key

pytestmark = pytest.mark.urls("tests.broker.api.urls")
STATUS = "/api/v1/status"


def ask(token: str, proof: str = "", *, scheme: str = "DPoP", method: str = "GET", path: str = STATUS) -> Any:
    """A call with exactly these credentials."""
    headers = {"Authorization": f"{scheme} {token}", **({"DPoP": proof} if proof else {})}
    return client().generic(method, path, headers=headers)


def proof_of(actor: Actor, key: Key | None = None, **changes: Any) -> str:
    return (key or actor.key).proof("GET", BROKER + STATUS, actor.token, **changes)


def assert_is_nobody(response: Any) -> None:
    """Whatever was wrong, the caller hears the same."""
    assert response.status_code == 401
    answer = response.json()
    assert response.headers["WWW-Authenticate"] == 'DPoP algs="ES256", error="invalid_token"'
    assert (answer["detail"], answer["hint"]) == ("nobody is signed in", "sign in again: postern login")
    assert [reason["reason"] for reason in answer["reasons"]] == ["not-signed-in"]


def test_a_token_alone_opens_nothing(cast: Cast) -> None:
    assert_is_nobody(ask(cast.alice.token))
    assert_is_nobody(ask(cast.alice.token, scheme="Bearer"))
    assert_is_nobody(ask(cast.alice.token, proof_of(cast.alice), scheme="Bearer"))


def test_a_new_key_does_not_do_for_a_copied_token(cast: Cast) -> None:
    assert_is_nobody(ask(cast.alice.token, proof_of(cast.alice, Key())))


def test_another_users_key_does_not_do(cast: Cast) -> None:
    assert_is_nobody(ask(cast.alice.token, proof_of(cast.alice, cast.bob.key)))
    assert_is_nobody(ask(cast.bob.token, proof_of(cast.alice)))


def test_a_captured_proof_cannot_be_sent_again(cast: Cast) -> None:
    proof = proof_of(cast.alice)
    assert ask(cast.alice.token, proof).status_code == 200
    assert_is_nobody(ask(cast.alice.token, proof))


def test_a_proof_is_for_one_method_path_and_token(cast: Cast) -> None:
    alice = cast.alice
    assert_is_nobody(ask(alice.token, proof_of(alice), path="/api/v1/ssh"))
    assert_is_nobody(ask(alice.token, proof_of(alice), method="DELETE", path="/api/v1/session"))
    assert_is_nobody(ask(alice.token, alice.key.proof("GET", BROKER + STATUS)))
    assert_is_nobody(ask(alice.token, alice.key.proof("GET", BROKER + STATUS, cast.bob.token)))
    assert_is_nobody(ask(alice.token, alice.key.proof("GET", f"http://evil.localhost:8080{STATUS}", alice.token)))


def test_two_proofs_are_none(cast: Cast) -> None:
    """A proxy or a browser that sends the header twice has it joined by a comma."""
    assert_is_nobody(ask(cast.alice.token, f"{proof_of(cast.alice)}, {proof_of(cast.alice)}"))


def test_a_sign_in_from_before_there_were_keys_opens_nothing(cast: Cast) -> None:
    LoginSession.objects.filter(pk=cast.alice.session.pk).update(key_thumbprint="")
    assert_is_nobody(ask(cast.alice.token, proof_of(cast.alice)))


def test_an_ended_sign_in_opens_nothing_with_the_best_of_proofs(cast: Cast) -> None:
    assert client(cast.alice).delete("/api/v1/session").status_code == 204
    assert_is_nobody(ask(cast.alice.token, proof_of(cast.alice)))


@pytest.mark.parametrize(("seconds", "words"), [(-600, "behind"), (600, "ahead of")])
def test_a_wrong_clock_is_told_in_words(cast: Cast, seconds: int, words: str) -> None:
    response = ask(cast.alice.token, proof_of(cast.alice, iat=int(time.time()) + seconds))
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'DPoP algs="ES256", error="invalid_dpop_proof"'
    answer = response.json()
    assert answer["reasons"][0]["reason"] == "clock-off"
    assert words in answer["detail"]
    assert answer["hint"] == "set the clock of this machine, then try again"


def test_a_wrong_clock_is_not_told_to_whoever_has_no_key(cast: Cast) -> None:
    off = int(time.time()) + 600
    assert_is_nobody(ask(cast.alice.token, proof_of(cast.alice, Key(), iat=off)))
    assert_is_nobody(ask("ptn_cli_" + "0" * 43, proof_of(cast.alice, iat=off)))


def test_the_key_is_told_to_its_owner(cast: Cast) -> None:
    session = client(cast.alice).get(STATUS).json()["session"]
    assert session["key_thumbprint"] == cast.alice.key.thumbprint


def test_the_scheme_is_read_in_any_case(cast: Cast) -> None:
    assert ask(cast.alice.token, proof_of(cast.alice), scheme="dpop").status_code == 200
