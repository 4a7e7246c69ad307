"""What the CLI does with a denial that a second factor would lift. At a terminal: tests/real/test_step_up.py."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import pytest
from postern import step_up
from postern.state import Session

from tests.cli.broker_double import Asked, BrokerDouble
from tests.cli.conftest import Ran

Postern = Callable[..., Ran]
TOKEN = {
    "token": "ptn_app_" + "b" * 43,
    "expires_at": "2030-01-01T00:00:00Z",
    "url": "http://grafana.postern.localhost:1",
}


def denied(*methods: str, need: str = "", **more: Any) -> tuple[int, Any]:
    confirm = {"methods": list(methods), "need": need, "url": "x"}
    told = {"detail": "the second factor was given too long ago", "hint": "give your second factor again", **more}
    return 403, {"status": 403, "reasons": [{"reason": "mfa-too-old", "text": ""}], "confirm": confirm, **told}


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make the person type this."""

    def typing(text: str) -> None:
        lines = io.StringIO(text)

        @contextmanager
        def terminal(unless: bool = False) -> Iterator[TextIO | None]:
            yield None if unless else lines

        monkeypatch.setattr(step_up, "terminal", terminal)
        monkeypatch.setattr(step_up, "POLL_SECONDS", 0.01)
        monkeypatch.setenv("BROWSER", "true")

    return typing


@pytest.fixture
def confirming(broker: BrokerDouble) -> BrokerDouble:
    """A broker that denies a token until the second factor was given, by the code 123456."""
    given: list[str] = []

    def token(asked: Asked) -> tuple[int, Any]:
        return (200, TOKEN) if given else denied("totp")

    def confirm(asked: Asked) -> tuple[int, Any]:
        if asked.body["code"] != "123456":
            return 422, {"status": 422, "detail": "this code is wrong, or was used before"}
        given.append("code")
        return 200, {"mfa_at": "2030-01-01T00:00:00Z", "amr": ["otp", "pwd"]}

    broker.answers |= {"POST /api/v1/app-tokens": token, "POST /api/v1/confirm": confirm}
    return broker


def in_browser(broker: BrokerDouble, *states: str, url: str = "", lasts: float = 60) -> None:
    left = list(states)
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + lasts))
    asked = {"id": "c1", "url": url or f"{broker.url}/confirm/c1", "number": "42", "expires_at": until}
    broker.answers["POST /api/v1/confirmations"] = (201, asked)
    broker.answers["GET /api/v1/confirmations/c1"] = lambda _: (200, {"id": "c1", "state": left.pop(0)})


def test_nobody_to_ask_ends_with_4_and_words(alice: Session, confirming: BrokerDouble, postern: Postern) -> None:
    """The tests have no terminal; the call is made once."""
    for arguments in (("app", "token", "grafana"), ("--no-input", "app", "token", "grafana")):
        confirming.asked.clear()
        ran = postern(*arguments)
        assert (ran.code, ran.out) == (4, "")
        assert "the second factor was given too long ago" in ran.err
        assert "postern confirm" in ran.err
        assert [asked.key for asked in confirming.asked] == ["POST /api/v1/app-tokens"]


def test_a_code_is_asked_for_and_the_command_goes_on(
    alice: Session, confirming: BrokerDouble, postern: Postern, at_terminal: Callable[[str], None]
) -> None:
    at_terminal("000000\n123456\n")
    ran = postern("app", "token", "grafana")
    assert (ran.code, ran.out.strip()) == (0, TOKEN["token"])
    assert "this code is wrong" in ran.err
    assert [asked.path.rpartition("/")[2] for asked in confirming.asked] == [
        "app-tokens",
        "confirm",
        "confirm",
        "app-tokens",
    ]


def test_three_wrong_codes_end_it(
    alice: Session, confirming: BrokerDouble, postern: Postern, at_terminal: Callable[[str], None]
) -> None:
    at_terminal("1\n2\n3\n123456\n")
    ran = postern("app", "token", "grafana")
    assert (ran.code, ran.out) == (4, "")


def test_a_denial_that_stays_is_told_and_not_asked_for_again(
    alice: Session, confirming: BrokerDouble, postern: Postern, at_terminal: Callable[[str], None]
) -> None:
    """No loop: one question for one command."""
    confirming.answers["POST /api/v1/app-tokens"] = denied("totp")
    at_terminal("123456\n123456\n123456\n")
    ran = postern("app", "token", "grafana")
    assert ran.code == 4
    assert len(confirming.asked) == 3


@pytest.mark.parametrize(
    ("states", "code"), [(("waiting", "waiting", "confirmed"), 0), (("waiting", "refused"), 4), (("expired",), 4)]
)
def test_in_the_browser_it_waits_for_the_answer(
    alice: Session,
    broker: BrokerDouble,
    postern: Postern,
    at_terminal: Callable[[str], None],
    states: tuple[str, ...],
    code: int,
) -> None:
    """What only a browser can give is not asked for at the terminal; purpose and kind go along."""
    at_terminal("")
    in_browser(broker, *states)
    answers = [denied("passkey", need="phishing-resistant"), (200, TOKEN)]
    broker.answers["POST /api/v1/app-tokens"] = lambda _: answers.pop(0)
    ran = postern("app", "token", "grafana")
    assert ran.code == code, ran.err
    assert f"{broker.url}/confirm/c1" in ran.err
    assert "42" in ran.err
    sent = next(asked.body for asked in broker.asked if asked.path.endswith("/confirmations"))
    assert sent == {"purpose": "get a token for grafana", "need": "phishing-resistant"}


def test_the_time_being_over_ends_the_wait(
    alice: Session, broker: BrokerDouble, postern: Postern, at_terminal: Callable[[str], None]
) -> None:
    """Also where the broker says `waiting` for ever."""
    at_terminal("")
    in_browser(broker, *["waiting"] * 1000, lasts=0)
    broker.answers["POST /api/v1/app-tokens"] = denied("provider")
    assert postern("app", "token", "grafana").code == 4


def test_who_has_no_such_factor_hears_what_to_do(
    alice: Session, broker: BrokerDouble, postern: Postern, at_terminal: Callable[[str], None]
) -> None:
    at_terminal("123456\n")
    broker.answers["POST /api/v1/app-tokens"] = denied(need="phishing-resistant")
    ran = postern("app", "token", "grafana")
    assert ran.code == 4
    assert "add a passkey" in ran.err


def test_a_browser_is_sent_to_the_broker_and_nowhere_else(
    alice: Session, broker: BrokerDouble, postern: Postern, at_terminal: Callable[[str], None]
) -> None:
    """X11: an answer cannot open somebody else's page."""
    at_terminal("")
    broker.answers["POST /api/v1/app-tokens"] = denied("passkey")
    for url in ("https://evil.example/confirm/c1", broker.url + ".evil.example/", "file:///etc/passwd"):
        in_browser(broker, "confirmed", url=url)
        ran = postern("app", "token", "grafana")
        assert ran.code == 1
        assert "evil" not in ran.out + ran.err


def test_confirm_beforehand(
    alice: Session, confirming: BrokerDouble, postern: Postern, at_terminal: Callable[[str], None]
) -> None:
    at_terminal("123456\n")
    confirming.answers["GET /api/v1/confirm"] = (200, {"methods": ["totp"], "need": "", "url": "x"})
    assert postern("confirm").code == 0
    in_browser(confirming, "confirmed")
    assert postern("confirm", "--browser").code == 0
