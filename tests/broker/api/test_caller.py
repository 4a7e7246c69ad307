"""Who calls: a token is worth nothing without its key, and a proof is worth one call."""

from __future__ import annotations

import time
from typing import Any

import pytest

from accounts.models import LoginSession
from broker.api import caller
from broker.models import AuditEvent
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


def refusals(actor: Actor) -> list[tuple[str, str, str]]:
    """Of whose tokens the log says that they came without their key: actor, user and what was wrong."""
    rows = AuditEvent.objects.filter(name="login_session.proof_refused", resource_id=str(actor.session.pk))
    return [(row.actor_name, row.data["user_name"], row.data["why"]) for row in rows.order_by("seq")]


def test_a_good_token_without_its_key_is_on_record_once_a_minute(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may have copied it. What they send writes no more than that."""
    now = 1000.0
    monkeypatch.setattr("broker.api.caller.time.monotonic", lambda: now)
    monkeypatch.setattr(caller, "_told", {})
    for _ in range(3):
        assert_is_nobody(ask(cast.alice.token))
        assert_is_nobody(ask(cast.bob.token, proof_of(cast.bob, Key())))
    assert refusals(cast.alice) == [("", "alice", "missing")]
    assert refusals(cast.bob) == [("", "bob", "key")]
    now += caller.TELL_EVERY
    assert_is_nobody(ask(cast.alice.token, proof_of(cast.alice, jti="x")))
    assert [why for _, _, why in refusals(cast.alice)] == ["missing", "identifier"]
    assert caller._told.keys() == {str(cast.alice.session.pk)}, "what is over is forgotten"


def test_a_captured_proof_that_comes_again_is_on_record(cast: Cast) -> None:
    proof = proof_of(cast.alice)
    ask(cast.alice.token, proof)
    assert_is_nobody(ask(cast.alice.token, proof))
    assert refusals(cast.alice) == [("", "alice", "replayed")]


def test_neither_a_good_call_nor_a_token_that_opens_nothing_nor_a_wrong_clock_is(cast: Cast) -> None:
    """Whoever has no good token writes nothing into the log by this."""
    assert ask(cast.alice.token, proof_of(cast.alice)).status_code == 200
    assert ask(cast.alice.token, proof_of(cast.alice, iat=int(time.time()) - 600)).status_code == 401
    assert_is_nobody(ask("ptn_cli_" + "0" * 43))
    assert not AuditEvent.objects.filter(name="login_session.proof_refused").exists()


def test_half_a_surrogate_pair_is_no_hash_of_a_token(cast: Cast) -> None:
    """It has no bytes to compare: refused like any other, not a failure of ours."""
    assert_is_nobody(ask(cast.alice.token, proof_of(cast.alice, ath="\ud800")))


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
