"""The CLI signs in: a code for a minute, once, for the one who asked."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts import oauth
from accounts.models import LoginSession, OAuthCode
from accounts.services.login_sessions import end_login_session, sign_out_everywhere
from accounts.services.users import disable_user
from tests.accounts.cli_token import login_session_of
from tests.conftest import TESTS, Clock, Person, new_client
from tests.dpop import Key

pytestmark = pytest.mark.django_db(transaction=True)
VERIFIER = "v" * 43
REDIRECT = "http://127.0.0.1:43123/callback"
PASTE = "http://postern.localhost:8080/oauth/code"
TOKEN = "http://postern.localhost:8080/oauth/token"
KEY, OTHER_KEY = Key(), Key()
XSS = "<script>alert(1)</script>"


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def ask(**changes: Any) -> str:
    """The address the CLI opens in the browser; a change to None leaves the parameter out."""
    query = {
        "response_type": "code",
        "client_id": "postern-cli",
        "redirect_uri": REDIRECT,
        "state": "xyz",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
        "dpop_jkt": KEY.thumbprint,
        "device_name": "alice@laptop",
        **changes,
    }
    return "/oauth/authorize?" + urlencode({k: v for k, v in query.items() if v is not None}, doseq=True)


def code_for(person: Person, **changes: Any) -> str:
    answer = person.client.post(ask(**changes), {"answer": "allow"})
    return parse_qs(urlsplit(answer["Location"]).query)["code"][0]


def exchange(code: str, *, proof: str | None = None, **changes: Any) -> Any:
    """The token request, with a good proof of the key unless another is given (empty: none)."""
    body = {
        "grant_type": "authorization_code",
        "client_id": "postern-cli",
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
        **changes,
    }
    headers = {"DPoP": proof_of(KEY) if proof is None else proof}
    form = {k: v for k, v in body.items() if v is not None}
    return new_client().post("/oauth/token", form, headers=headers if headers["DPoP"] else {})


def proof_of(key: Key, **changes: Any) -> str:
    """A key's proof for the token request, at the time the tests have."""
    return key.proof("POST", TOKEN, **{"iat": int(timezone.now().timestamp()), **changes})


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "https://evil.example/callback",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:43123/other",
        "http://127.0.0.1:43123/callback/../x",
        "http://127.0.0.1:43123/callback?x=1",
        "http://127.0.0.1:43123@evil.example/callback",
        "http://127.0.0.1.evil.example:43123/callback",
        "http://localhost.evil.example:43123/callback",
        "http://10.0.0.1:43123/callback",
        "https://127.0.0.1:43123/callback",
        "http://postern.localhost:8080/oauth/code/x",
        "http://evil.example/oauth/code",
        "javascript:alert(1)",
        "//evil.example",
        [REDIRECT, "https://evil.example"],
    ],
)
def test_a_code_is_sent_nowhere_but_to_the_persons_own_machine(alice: Person, uri: Any) -> None:
    """L33."""
    for answer in (
        alice.client.get(ask(redirect_uri=uri)),
        alice.client.post(ask(redirect_uri=uri), {"answer": "allow"}),
    ):
        assert answer.status_code == 400
        assert "Location" not in answer
    assert not OAuthCode.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "other"},
        {"client_id": None},
        {"response_type": "token"},
        {"response_type": None},
        {"code_challenge": None},
        {"code_challenge": "short"},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge_method": ["S256", "plain"]},
        {"dpop_jkt": None},
        {"dpop_jkt": ""},
        {"dpop_jkt": "short"},
        {"dpop_jkt": [KEY.thumbprint, OTHER_KEY.thumbprint]},
    ],
)
def test_a_request_that_is_not_ours_writes_no_code(alice: Person, changes: dict) -> None:
    assert alice.client.get(ask(**changes)).status_code == 400
    assert alice.client.post(ask(**changes), {"answer": "allow"}).status_code == 400
    assert not OAuthCode.objects.exists()


def test_nobody_signed_in_is_led_to_sign_in_and_back(db: None) -> None:
    led = new_client().get(ask())
    assert led["Location"].startswith("/sign-in?next=/oauth/authorize")
    assert not OAuthCode.objects.exists()


def test_looking_writes_no_code(alice: Person) -> None:
    page = alice.client.get(ask()).content.decode()
    assert "alice@laptop" in page
    assert "127.0.0.1" in page
    assert not OAuthCode.objects.exists()


def test_refusing_tells_the_cli(alice: Person) -> None:
    answer = alice.client.post(ask(), {"answer": "deny"})
    query = parse_qs(urlsplit(answer["Location"]).query)
    assert query["error"] == ["access_denied"]
    assert query["state"] == ["xyz"]
    assert query["iss"] == [settings.POSTERN.url]
    assert not OAuthCode.objects.exists()


def test_a_hostile_device_name_is_inert(alice: Person) -> None:
    """X09."""
    page = alice.client.get(ask(device_name=XSS + "\x1b[31m\n" + "x" * 500)).content.decode()
    assert XSS not in page
    assert "\x1b" not in page


def test_the_form_may_lead_to_that_listener_and_no_other(alice: Person) -> None:
    policy = alice.client.get(ask())["Content-Security-Policy"]
    assert "form-action 'self' http://127.0.0.1:43123;" in policy + ";"


# --- exchanging -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "x"},
        {"code": None},
        {"code_verifier": None},
        {"code_verifier": "w" * 43},
        {"code_verifier": challenge()},
        {"redirect_uri": "http://127.0.0.1:43124/callback"},
        {"redirect_uri": None},
        {"client_id": "other"},
        {"client_id": None},
        {"grant_type": "password"},
        {"grant_type": "refresh_token"},
        {"grant_type": None},
    ],
)
def test_a_code_is_bound_to_client_address_and_challenge(alice: Person, changes: dict) -> None:
    """L10."""
    answer = exchange(**{"code": code_for(alice), **changes})
    assert answer.status_code in (400, 401)
    assert "access_token" not in answer.json()
    assert not LoginSession.objects.filter(kind="cli").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"htm": "GET"},
        {"htu": "http://postern.localhost:8080/oauth/authorize"},
        {"htu": "http://evil.example/oauth/token"},
        {"jti": None},
        {"jti": "short"},
        {"iat": None},
        {"header": {"typ": "jwt"}},
        {"header": {"jwk": None}},
    ],
)
def test_a_token_is_given_for_a_good_proof_only(alice: Person, changes: dict) -> None:
    answer = exchange(code_for(alice), proof=proof_of(KEY, **changes))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")
    assert not LoginSession.objects.filter(kind="cli").exists()


@pytest.mark.parametrize("proof", ["", "x", "a.b.c"])
def test_a_token_request_without_a_proof_is_refused(alice: Person, proof: str) -> None:
    answer = exchange(code_for(alice), proof=proof)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")


def test_a_stolen_code_is_worth_nothing_without_the_key_it_is_for(alice: Person) -> None:
    """L10: with the verifier even, for a thief who read the CLI's screen and traffic."""
    code = code_for(alice)
    answer = exchange(code, proof=proof_of(OTHER_KEY))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert not LoginSession.objects.filter(kind="cli").exists()
    assert exchange(code).status_code == 200


def test_a_code_from_before_there_were_keys_opens_nothing(alice: Person) -> None:
    code = code_for(alice)
    OAuthCode.objects.update(key_thumbprint="")
    assert exchange(code).json()["error"] == "invalid_grant"


def test_a_proof_gets_one_token(alice: Person) -> None:
    proof = proof_of(KEY)
    assert exchange(code_for(alice), proof=proof).status_code == 200
    assert exchange(code_for(alice), proof=proof).json()["error"] == "invalid_dpop_proof"


@pytest.mark.parametrize(("seconds", "words"), [(-300, "300 s behind"), (300, "300 s ahead of")])
def test_a_clock_that_is_wrong_is_told(alice: Person, clock: Clock, seconds: int, words: str) -> None:
    proof = proof_of(KEY, iat=int(clock.now.timestamp()) + seconds)
    answer = exchange(code_for(alice), proof=proof).json()
    assert answer["error"] == "invalid_dpop_proof"
    assert answer["error_description"] == f"your clock is {words} ours"


def test_a_code_is_good_for_a_minute(alice: Person, clock: Clock) -> None:
    code = code_for(alice)
    clock.advance(61)
    assert exchange(code).json()["error"] == "invalid_grant"


def test_a_second_use_ends_the_session_the_first_one_made(alice: Person) -> None:
    """L10."""
    code = code_for(alice)
    token = exchange(code).json()["access_token"]
    assert login_session_of(token)
    assert exchange(code).json()["error"] == "invalid_grant"
    assert login_session_of(token) is None
    assert LoginSession.objects.get(kind="cli").ended_reason == "code-used-twice"


def test_of_ten_exchanges_at_once_at_most_one_session_lives(alice: Person) -> None:
    """L10."""
    code = code_for(alice)

    def attempt(_: int) -> int:
        try:
            return exchange(code).status_code  # type: ignore[no-any-return]
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(attempt, range(10)))
    assert answers.count(200) == 1
    assert LoginSession.objects.filter(kind="cli").count() == 1


@pytest.mark.parametrize("how", ["signed out", "disabled", "everywhere"])
def test_a_code_dies_with_the_session_that_wrote_it(alice: Person, how: str) -> None:
    """S10."""
    code = code_for(alice)
    match how:
        case "signed out":
            end_login_session(TESTS, alice.session)
        case "disabled":
            disable_user(TESTS, alice.user)
        case "everywhere":
            sign_out_everywhere(TESTS, alice.user)
    assert exchange(code).json()["error"] == "invalid_grant"


def test_alices_cli_is_signed_in_with_the_proofs_of_her_browser(alice: Person) -> None:
    answer = exchange(code_for(alice))
    assert answer["Cache-Control"] == "no-store"
    body = answer.json()
    assert body["token_type"] == "DPoP"
    assert body["user"] == "alice"
    assert body["expires_in"] == int(settings.POSTERN.cli_session_max)
    session = login_session_of(body["access_token"])
    assert session is not None
    assert session.user == alice.user
    assert session.parent == alice.session
    assert session.mfa_at == alice.session.mfa_at
    assert session.amr == alice.session.amr
    assert session.device_name == "alice@laptop"
    assert session.key_thumbprint == KEY.thumbprint


def test_signing_out_of_the_browser_leaves_the_cli_and_everywhere_does_not(alice: Person) -> None:
    token = exchange(code_for(alice)).json()["access_token"]
    other, _ = alice.new_browser()
    alice.client.post("/sign-out")
    assert login_session_of(token)
    other.post("/account/sign-out-everywhere")
    assert login_session_of(token) is None


def test_the_code_can_be_pasted_where_no_port_can_be_opened(alice: Person) -> None:
    page = alice.client.post(ask(redirect_uri=PASTE), {"answer": "allow"}).content.decode()
    code = page.split('data-copy="')[1].split('"')[0]
    assert exchange(code, redirect_uri=PASTE).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_any_loopback_port_will_do(alice: Person, host: str) -> None:
    uri = f"http://{host}:{50_000}/callback"
    assert oauth.is_loopback(uri)
    answer = alice.client.post(ask(redirect_uri=uri), {"answer": "allow"})
    assert answer["Location"].startswith(uri + "?code=")
    query = parse_qs(urlsplit(answer["Location"]).query)
    assert query["iss"] == [settings.POSTERN.url]
    assert query["state"] == ["xyz"]


def test_codes_and_tokens_are_stored_hashed(alice: Person) -> None:
    """S14."""
    code = code_for(alice)
    token = exchange(code).json()["access_token"]
    stored = str(list(OAuthCode.objects.values())) + str(list(LoginSession.objects.values()))
    assert code not in stored
    assert token not in stored


def test_the_metadata_names_what_there_is(db: None) -> None:
    body = new_client().get("/.well-known/oauth-authorization-server").json()
    assert body["issuer"] == settings.POSTERN.url
    assert body["code_challenge_methods_supported"] == ["S256"]
    assert body["dpop_signing_alg_values_supported"] == ["ES256"]
    assert body["token_endpoint"].endswith("/oauth/token")
