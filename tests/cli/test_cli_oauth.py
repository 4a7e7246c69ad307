"""The browser sign-in: whose answer is taken, and whose is not."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest
from postern import oauth
from postern.errors import CliError, Denied, LoginNeeded, UsageProblem
from postern.oauth import Callback, Flow, pasted_code

from tests.cli.broker_double import TOKEN, BrokerDouble

FLOW = Flow("https://b", "http://127.0.0.1:1/callback", state="the-state")
GOOD = "code=c1&state=the-state&iss=https://b"


def test_the_answer_must_carry_the_state_and_come_from_the_broker() -> None:
    """State against a code of somebody else's; `iss` (RFC 9207) against a mix-up of brokers."""
    assert FLOW.code_in(GOOD) == "c1"
    for query in (
        "code=c1&iss=https://b",
        "code=c1&state=other&iss=https://b",
        "code=c1&state=the-state",
        "code=c1&state=the-state&iss=https://evil",
        "code=c1&state=the-state&state=the-state&iss=https://b",
        "state=the-state&iss=https://b",
        "code=&state=the-state&iss=https://b",
        "code=c1&state=the-st%C3%A4te&iss=https://b",
        "",
    ):
        with pytest.raises(CliError):
            FLOW.code_in(query)


def test_a_refusal_is_a_denial_in_the_brokers_words() -> None:
    query = "error=access_denied&error_description=you+said+no&state=the-state&iss=https://b"
    with pytest.raises(Denied, match="the sign-in was refused: you said no"):
        FLOW.code_in(query)


def test_the_address_holds_a_challenge_and_never_the_verifier() -> None:
    query = parse_qs(urlsplit(FLOW.address()).query)
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["code_challenge"][0]) == 43
    assert query["redirect_uri"] == ["http://127.0.0.1:1/callback"]
    assert FLOW.verifier not in FLOW.address()
    assert FLOW.verifier not in repr(FLOW)
    assert Flow("https://b", "x").state != Flow("https://b", "x").state


def fetch(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=10) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_loopback_waits_through_strangers_for_its_own_answer() -> None:
    callback = Callback()
    flow = Flow("https://b", callback.redirect_uri, state="the-state")
    pages: list[tuple[int, str]] = []

    def browser() -> None:
        base = callback.redirect_uri.removesuffix("/callback")
        for target in ("/favicon.ico", "/callback?code=evil&state=other&iss=https://b", f"/callback?{GOOD}"):
            pages.append(fetch(base + target))

    thread = threading.Thread(target=browser)
    thread.start()
    assert callback.wait(flow, patience=20) == "c1"
    thread.join()
    assert [status for status, _ in pages] == [404, 400, 200]
    assert "You can close this tab" in pages[2][1]
    assert oauth.device_name() in pages[2][1]


def test_an_idle_connection_does_not_hold_up_the_answer() -> None:
    import socket
    import time

    callback = Callback()
    flow = Flow("https://b", callback.redirect_uri, state="the-state")
    port = urlsplit(callback.redirect_uri).port
    with socket.create_connection(("127.0.0.1", port)):
        threading.Timer(0.1, lambda: fetch(f"{callback.redirect_uri}?{GOOD}")).start()
        began = time.monotonic()
        assert callback.wait(flow, patience=20) == "c1"
        assert time.monotonic() - began < 5


def test_the_loopback_listens_on_loopback_alone_and_not_for_ever() -> None:
    callback = Callback()
    assert callback.redirect_uri.startswith("http://127.0.0.1:")
    with pytest.raises(LoginNeeded, match="within 5 minutes"):
        callback.wait(Flow("https://b", callback.redirect_uri), patience=0.05)
    with pytest.raises(urllib.error.URLError):
        fetch(callback.redirect_uri)


def test_a_port_in_use_is_named() -> None:
    callback = Callback()
    with pytest.raises(UsageProblem, match="address already in use"):
        Callback(urlsplit(callback.redirect_uri).port or 0)
    callback._server.server_close()


def test_a_pasted_code_may_be_the_code_or_the_whole_address() -> None:
    assert pasted_code(FLOW, " c1-_.~ \n") == "c1-_.~"
    assert pasted_code(FLOW, f"https://b/oauth/code?{GOOD}") == "c1"


@pytest.mark.parametrize(
    "text", ["", "  ", "two words", "c1;x", GOOD, "https://b/oauth/code?code=c1&state=other&iss=https://b"]
)
def test_what_is_no_code_is_not_sent(text: str) -> None:
    with pytest.raises(CliError):
        pasted_code(FLOW, text)


def test_the_code_is_traded_with_its_verifier(broker: BrokerDouble) -> None:
    flow = Flow(broker.url, "http://127.0.0.1:1/callback")
    code = flow.code_in(urlsplit(broker.authorize(flow.address())).query)
    token, _ = flow.token(code)
    assert token == TOKEN
    with pytest.raises(LoginNeeded, match="did not take the code: this code is not good"):
        flow.token("another")


def test_another_verifier_gets_nothing(broker: BrokerDouble) -> None:
    flow = Flow(broker.url, "http://127.0.0.1:1/callback")
    code = flow.code_in(urlsplit(broker.authorize(flow.address())).query)
    thief = Flow(broker.url, flow.redirect_uri, state=flow.state)
    with pytest.raises(LoginNeeded):
        thief.token(code)
