"""The key that the token is bound to: its file, its proofs, and what is said when it is not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from joserfc import jws, jwt
from joserfc.jwk import ECKey
from postern.client import Broker
from postern.errors import CliError, LoginNeeded
from postern.oauth import Flow
from postern.renew import broker_of
from postern.state import Home, Session
from postern.token_key import TokenKey

from tests.cli.broker_double import TOKEN, BrokerDouble
from tests.cli.conftest import Ran
from tests.dpop import hash_of

Postern = Callable[..., Ran]


def pem(key: Any, encryption: Any = None) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "the key of this sign-in is missing"),
        (b"", "is damaged"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "is damaged"),
        (pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"x")), "is damaged"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "is another kind of key"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "is another kind of key"),
    ],
)
def test_a_key_that_cannot_be_used_says_so_and_what_to_do(
    postern: Postern, alice: Session, home: Home, broker: BrokerDouble, content: bytes | None, words: str
) -> None:
    home.token_key.unlink()
    if content is not None:
        home.token_key.write_bytes(content)
    ran = postern("status")
    assert ran.code == 3
    assert words in ran.err
    assert ran.err.endswith("hint: run: postern login\n")
    assert broker.asked == []


def test_a_key_that_may_not_be_read_says_so(alice: Session, home: Home) -> None:
    home.token_key.unlink()
    home.token_key.mkdir()
    with pytest.raises(LoginNeeded, match="cannot read .*token.pem: is a directory"):
        broker_of(home, alice)


def test_logging_out_without_the_key_is_on_this_machine_only(postern: Postern, alice: Session, home: Home) -> None:
    home.token_key.unlink()
    ran = postern("logout")
    assert ran.code == 0
    assert "signed out on this machine only: the key of this sign-in is missing" in ran.err
    assert home.session() is None


def test_a_copied_session_with_a_key_of_the_thiefs_own_is_refused(
    alice: Session, broker: BrokerDouble, home: Home
) -> None:
    assert broker_of(home, alice).get("status")["user"] == "alice"
    with pytest.raises(LoginNeeded):
        Broker(broker.url, TOKEN, TokenKey.new()).get("status")


def test_the_key_is_kept_from_others_and_goes_at_logout(postern: Postern, alice: Session, home: Home) -> None:
    assert home.token_key.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" not in home.file("session.json").read_text()
    assert "PRIVATE" not in repr(TokenKey.load(home)) + repr(vars(Broker("https://b", TOKEN, TokenKey.load(home))))
    postern("logout")
    assert not home.token_key.exists()


def test_a_proof_is_what_rfc_9449_says(home: Home) -> None:
    key = TokenKey.new()
    key.save(home)
    again = TokenKey.load(home)
    text, other = (again.proof("GET", "https://b/api/v1/status", TOKEN) for _ in range(2))
    found = jwt.decode(text, _key_in(text), algorithms=["ES256"])
    assert (found.header["typ"], found.header["alg"]) == ("dpop+jwt", "ES256")
    assert set(found.header["jwk"]) == {"kty", "crv", "x", "y"}
    assert _key_in(text).thumbprint() == key.thumbprint
    claims = found.claims
    assert (claims["htm"], claims["htu"], claims["ath"]) == ("GET", "https://b/api/v1/status", hash_of(TOKEN))
    assert len(claims["jti"]) >= 22
    assert jwt.decode(other, _key_in(other)).claims["jti"] != claims["jti"]
    assert "ath" not in jwt.decode(key.proof("POST", "https://b/oauth/token"), _key_in(text)).claims


def _key_in(text: str) -> ECKey:
    return ECKey.import_key(jws.extract_compact(text.encode()).headers()["jwk"])


def test_a_query_is_not_in_the_proof_and_a_name_is_quoted_as_in_the_address(
    alice: Session, broker: BrokerDouble, home: Home
) -> None:
    broker.answers["GET /api/v1/admin/role/a%20b%2Fc"] = (200, {"fine": True})
    assert broker_of(home, alice).get("admin", "role", "a b/c", search="x y") == {"fine": True}


def test_a_clock_that_is_wrong_is_no_lost_sign_in(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    words, hint = "your clock is 600 s behind ours", "set the clock of this machine, then try again"
    reasons = [{"reason": "clock-off", "text": words}]
    broker.answers["GET /api/v1/status"] = (401, {"detail": words, "hint": hint, "reasons": reasons})
    ran = postern("status")
    assert (ran.code, ran.err) == (1, f"error: {words}\nhint: {hint}\n")


def test_a_broker_that_binds_no_key_is_not_trusted_with_the_token(broker: BrokerDouble) -> None:
    broker.answers["POST /oauth/token"] = (200, {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 60})
    with pytest.raises(CliError, match="does not bind the token"):
        Flow(broker.url, "http://127.0.0.1:1/callback").token("c1")


def test_status_says_that_the_sign_in_is_bound_here(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    session = broker.status()["session"] | {"key_thumbprint": broker.key_thumbprint}
    broker.answers["GET /api/v1/status"] = (200, broker.status(session=session))
    assert "Bound to:           this machine's key" in postern("status").out


def test_ssh_with_a_good_certificate_loads_neither_key_nor_cryptography() -> None:
    """Every ssh starts this program; what it does not need it must not load."""
    code = "import sys, postern.ssh_proxy; print([m for m in sys.modules if 'crypto' in m or 'token_key' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
