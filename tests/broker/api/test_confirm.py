"""Confirming for a CLI: by a code, or in the person's browser; and what a denial says of it."""

from __future__ import annotations

import base64
import json
import re
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from django_otp.oath import hotp

from accounts.authenticators.recovery import new_codes
from accounts.models import Confirmation, LoginSession, OAuthCode, TotpDevice
from accounts.services.cli_sessions import start_cli_session
from accounts.services.confirmations import answer, is_proved
from accounts.services.login_sessions import confirm_login_session, end_login_session
from accounts.throttle import ACCOUNT
from broker import live
from broker.audit.origin import Origin
from broker.errors import Conflict, Denied
from broker.models import AuditEvent
from broker.services.authorities import ensure_authorities
from broker.services.certificates import issue_access
from broker.services.decisions import subject_now
from tests.broker.cast import PUBLIC_KEY, Actor, Cast, change, client
from tests.broker.console.browser import Browser, words

SEED = b"12345678901234567890"
ORIGIN = Origin("person", "", "alice", "192.0.2.9", "r")
ACCESS = {"server": "db-1", "login": "root", "public_key": PUBLIC_KEY}


@pytest.fixture
def alice(cast: Cast) -> Actor:
    """alice's CLI, whose roles want a confirmation for each session; the one she has is two hours old."""
    change(
        "{kind: role, metadata: {name: engineer}, spec: {options: {mfa_per_session: true},"
        " allow: {server_labels: {env: dev}, app_labels: {env: dev}, logins: [root]}}}"
    )
    ensure_authorities()
    actor = cast.alice
    seed = base64.b32encode(SEED).decode()
    TotpDevice.objects.create(user=actor.user, name="app", seed=seed, confirmed=True)
    LoginSession.objects.filter(pk=actor.session.pk).update(mfa_at=timezone.now() - timedelta(hours=2))
    live.forget()
    return actor


def call(actor: Actor, method: str, path: str, body: Any = None) -> Any:
    data = json.dumps(body) if body is not None else ""
    return client(actor).generic(method, f"/api/v1/{path}", data, content_type="application/json")


def code(ahead: int = 0) -> str:
    return f"{hotp(SEED, int(time.time()) // 30 + ahead):06d}"


def test_a_denial_says_how_it_is_lifted_and_only_then(alice: Actor, cast: Cast) -> None:
    """M15: by what the caller has; and no word of it where it would not help."""
    refused = call(alice, "POST", "certificates/access", ACCESS)
    assert refused.status_code == 403
    told = refused.json()
    assert told["reasons"][0]["reason"] == "mfa-too-old"
    assert told["confirm"]["methods"] == ["totp"]
    assert told["confirm"]["need"] == ""
    assert told["confirm"]["url"].endswith("/api/v1/confirmations")
    assert "confirm" not in call(alice, "POST", "certificates/access", {**ACCESS, "login": "postgres"}).json()
    assert "confirm" not in call(cast.charlie, "GET", "admin/role").json()


def test_a_demand_that_no_factor_of_hers_meets_offers_none(alice: Actor) -> None:
    """M15: a code does not lift what wants a phishing-resistant factor."""
    change(
        "{kind: role, metadata: {name: engineer}, spec: {options: {require_session_mfa: phishing-resistant},"
        " allow: {server_labels: {env: dev}, logins: [root]}}}"
    )
    assert call(alice, "POST", "confirm", {"code": code()}).status_code == 200
    told = call(alice, "POST", "certificates/access", ACCESS).json()
    assert (told["reasons"][0]["reason"], told["confirm"]["need"]) == ("mfa-kind", "phishing-resistant")
    assert told["confirm"]["methods"] == []


@pytest.mark.parametrize("kind", ["hwk", "swk", "sc"])
def test_a_code_given_after_what_cannot_be_phished_is_a_code(alice: Actor, kind: str) -> None:
    """M15: also after a smart card, which only providers know."""
    change(
        "{kind: role, metadata: {name: engineer}, spec: {options: {require_session_mfa: phishing-resistant},"
        " allow: {server_labels: {env: dev}, logins: [root]}}}"
    )
    LoginSession.objects.filter(pk=alice.session.pk).update(amr=["fed", "mfa", kind], mfa_at=timezone.now())
    assert started_under(alice.session) == ""
    assert call(alice, "POST", "confirm", {"code": code()}).json()["amr"] == ["fed", "mfa", "otp"]
    assert started_under(alice.session) == "mfa-kind"


def test_a_smart_card_in_the_browser_goes_over_to_the_terminal(alice: Actor) -> None:
    """M19 M22: what a provider said of the second factor is told there as well."""
    browser, asked = Browser("alice"), ask(alice)
    prove(browser, "sc")
    browser.post(f"/confirm/{asked['id']}", answer="yes", number=asked["number"])
    alice.session.refresh_from_db()
    assert "sc" in alice.session.amr


def test_a_code_confirms_the_calling_session_and_is_used_up(alice: Actor, cast: Cast) -> None:
    """X02: once. The token stays, since its key is what counts; other sessions are as they were."""
    other = alice.session
    given = code()
    answered = call(alice, "POST", "confirm", {"code": given})
    assert answered.status_code == 200
    assert answered.json()["amr"] == ["otp", "pwd"]
    assert call(alice, "POST", "certificates/access", ACCESS).status_code == 200
    spent = call(alice, "POST", "certificates/access", ACCESS).json()
    assert spent["reasons"][0]["reason"] == "mfa-spent"
    assert call(alice, "POST", "confirm", {"code": given}).status_code == 422
    assert AuditEvent.objects.filter(name="login_session.confirmed", resource_id=str(other.pk)).count() == 1
    assert call(cast.bob, "GET", "status").status_code == 200


def test_a_recovery_code_confirms_too(alice: Actor) -> None:
    recovery = new_codes(alice.user)[0]
    assert call(alice, "GET", "confirm").json()["methods"] == ["totp", "recovery"]
    assert call(alice, "POST", "confirm", {"code": recovery}).json()["amr"] == ["pwd", "rc"]
    assert call(alice, "POST", "confirm", {"code": recovery}).status_code == 422


def test_wrong_codes_here_count_at_every_door(alice: Actor) -> None:
    """M03: the same counter as sign-in's."""
    for _ in range(ACCOUNT.wrong):
        wrong = call(alice, "POST", "confirm", {"code": "000000"})
        assert wrong.status_code == 422
        assert wrong.json()["problems"][0]["path"] == "code"
    throttled = call(alice, "POST", "confirm", {"code": code()})
    assert throttled.status_code == 429
    assert int(throttled.headers["Retry-After"]) > 0
    page = Browser()
    form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text("/sign-in"))
    assert form
    sent = {"username": "alice", "password": "x" * 12, "csrfmiddlewaretoken": form[1]}
    assert page.http.post("/sign-in", sent).status_code == 429


def ask(actor: Actor, purpose: str = "log in as root on db-1") -> dict[str, Any]:
    asked = call(actor, "POST", "confirmations", {"purpose": purpose})
    assert asked.status_code == 201, asked.content
    return dict(asked.json())


def state(actor: Actor, asked: dict[str, Any]) -> str:
    return str(call(actor, "GET", f"confirmations/{asked['id']}").json()["state"])


def prove(browser: Browser, amr: str = "otp") -> None:
    """A second factor given in the browser, now."""
    assert browser.session
    token = confirm_login_session(_origin(browser), browser.session, [amr])
    browser.http.cookies["__Host-postern"] = token


def _origin(browser: Browser) -> Any:
    assert browser.session
    user = browser.session.user
    return Origin("person", str(user.pk), user.username, "192.0.2.9", "r", str(browser.session.pk))


def test_in_the_browser_the_number_confirms_and_the_terminal_goes_on(alice: Actor) -> None:
    """M19 M22: device, address and purpose are shown, a second factor is wanted, and the number is not shown."""
    browser = Browser("alice")
    asked = ask(alice)
    path = "/confirm/" + asked["id"]
    assert asked["url"].endswith(path)
    page = browser.text(path)
    assert "log in as root on db-1" in page
    assert "192.0.2.7" in page
    assert f">{asked['number']}<" not in page
    assert "/account/confirm?next=/confirm/" in page  # what she gave before this was asked does not count
    assert browser.post(path, answer="yes", number=asked["number"]).status_code == 422
    assert state(alice, asked) == "waiting"
    prove(browser)
    assert browser.post(path, answer="yes", number="").status_code == 422
    done = browser.post(path, answer="yes", number=asked["number"])
    assert "Go back to the terminal" in words(done)
    assert state(alice, asked) == "confirmed"
    assert call(alice, "POST", "certificates/access", ACCESS).status_code == 200
    assert "Confirmed" in words(browser.get(path))


def test_one_confirmation_in_the_browser_confirms_one_thing(alice: Actor) -> None:
    """M22: it is spent in the browser when it goes over, so the next question wants another."""
    first, second, browser = ask(alice), ask(alice), Browser("alice")
    prove(browser)
    browser.post(f"/confirm/{first['id']}", answer="yes", number=first["number"])
    assert state(alice, first) == "confirmed"
    assert browser.post(f"/confirm/{second['id']}", answer="yes", number=second["number"]).status_code == 422
    assert state(alice, second) == "waiting"
    browser.session.refresh_from_db()  # type: ignore[union-attr]
    assert browser.session
    assert browser.session.mfa_spent_at is not None


def demand_a_batch() -> None:
    change(
        "{kind: role, metadata: {name: engineer}, spec: {options: {mfa_per_session: true, mfa_reuse: 10m},"
        " allow: {server_labels: {env: dev}, logins: [root]}}}"
    )


def started_under(session: LoginSession) -> str:
    """What comes of asking for a certificate under a login session: nothing (it was given), or the first reason."""
    live.forget()
    try:
        issue_access(ORIGIN, subject_now(str(session.pk)), "db-1", "root", PUBLIC_KEY)
    except Denied as error:
        return str(error.denial.reasons[0])
    return ""


def test_what_went_over_to_a_terminal_starts_no_batch_in_the_browser(alice: Actor) -> None:
    """M22: it is the terminal's alone, also where one confirmation is good for all of ten minutes."""
    demand_a_batch()
    browser, asked = Browser("alice"), ask(alice)
    prove(browser)
    browser.post(f"/confirm/{asked['id']}", answer="yes", number=asked["number"])
    assert browser.session
    assert started_under(browser.session) == "mfa-spent"
    assert started_under(alice.session) == ""


@pytest.mark.parametrize("spent", [False, True])
def test_a_new_terminal_starts_no_batch_by_what_was_given_in_the_browser(alice: Actor, spent: bool) -> None:
    """M22: a sign-in of the CLI brings no confirmation along, whether or not the browser has used it."""
    demand_a_batch()
    browser = Browser("alice")
    prove(browser)
    assert browser.session
    if spent:
        assert started_under(browser.session) == ""
    code = OAuthCode(login_session=browser.session, code_hash="c" * 64, expires_at=timezone.now(), key_thumbprint="t")
    code.save()
    browser.session.refresh_from_db()
    terminal, _ = start_cli_session(ORIGIN, code, "")
    assert started_under(terminal) == "mfa-spent"
    confirm_login_session(ORIGIN, terminal, ["otp"])
    assert started_under(terminal) == ""


def test_a_wrong_number_and_a_no_refuse_and_are_on_record(alice: Actor) -> None:
    """M19: who says yes without looking at the terminal confirms nothing."""
    browser = Browser("alice")
    for number, form in enumerate(({"answer": "yes", "number": "wrong"}, {"answer": "no"})):
        asked = ask(alice)
        prove(browser)
        other = "99" if asked["number"] != "99" else "98"
        browser.post(f"/confirm/{asked['id']}", **{**form, **({"number": other} if "number" in form else {})})
        assert state(alice, asked) == "refused"
        again = browser.post(f"/confirm/{asked['id']}", answer="yes", number=asked["number"])
        assert "Refused" in words(again)
        assert state(alice, asked) == "refused"
        assert AuditEvent.objects.filter(name="login_session.confirmation.refused").count() == number + 1
    alice.session.refresh_from_db()
    assert alice.session.mfa_at
    assert timezone.now() - alice.session.mfa_at > timedelta(hours=1)


def test_nobody_else_sees_or_answers_it(alice: Actor, cast: Cast) -> None:
    """M19: bob's browser, another CLI, nobody, and an id that is none: all the same 404, or sign-in."""
    asked, bob = ask(alice), Browser("bob")
    prove(bob)
    path = f"/confirm/{asked['id']}"
    assert bob.get(path).status_code == 404
    assert bob.post(path, answer="yes", number=asked["number"]).status_code == 404
    assert bob.post(path, answer="no").status_code == 404
    assert bob.get(f"/confirm/{uuid4()}").status_code == 404
    assert Browser().get(path).status_code == 302
    assert call(cast.bob, "GET", f"confirmations/{asked['id']}").status_code == 404
    assert state(alice, asked) == "waiting"


def test_three_may_wait_and_ten_be_asked_in_ten_minutes(alice: Actor) -> None:
    """M19: for the person, over all their CLIs; then 429 until one is answered or some time has passed."""
    browser = Browser("alice")
    waiting = [ask(alice) for _ in range(3)]
    refused = call(alice, "POST", "confirmations", {"purpose": "x"})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 300
    for _ in range(7):
        browser.post(f"/confirm/{waiting.pop()['id']}", answer="no")
        waiting.append(ask(alice))
    browser.post(f"/confirm/{waiting.pop()['id']}", answer="no")
    refused = call(alice, "POST", "confirmations", {"purpose": "x"})
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 300
    assert AuditEvent.objects.filter(name="login_session.confirmation.asked").count() == 10
    Confirmation.objects.update(created_at=timezone.now() - timedelta(minutes=11))
    assert call(alice, "POST", "confirmations", {"purpose": "x"}).status_code == 201


def test_after_five_minutes_it_is_over(alice: Actor) -> None:
    asked, browser = ask(alice), Browser("alice")
    prove(browser)
    Confirmation.objects.update(expires_at=timezone.now())
    assert state(alice, asked) == "expired"
    assert "Too late" in words(browser.post(f"/confirm/{asked['id']}", answer="yes", number=asked["number"]))
    assert state(alice, asked) == "expired"


def test_a_cli_that_was_signed_out_meanwhile_is_confirmed_nothing(alice: Actor) -> None:
    """S10."""
    asked, browser = ask(alice), Browser("alice")
    prove(browser)
    end_login_session(alice.origin, alice.session)
    assert browser.post(f"/confirm/{asked['id']}", answer="yes", number=asked["number"]).status_code == 409
    assert not Confirmation.objects.get().confirmed


def test_a_code_in_the_browser_does_not_become_a_key_in_the_terminal(alice: Actor) -> None:
    """M15: the kind goes over as it was given."""
    for amr in ("otp", "hwk"):
        asked, browser = ask(alice), Browser("alice")
        prove(browser, amr)
        browser.post(f"/confirm/{asked['id']}", answer="yes", number=asked["number"])
        alice.session.refresh_from_db()
        assert alice.session.amr == sorted(["pwd", amr])
        assert browser.session
        browser.session.refresh_from_db()
        assert alice.session.mfa_at == browser.session.mfa_at


def test_the_service_looks_at_the_locked_rows_itself(alice: Actor) -> None:
    """What the view saw a moment ago proves nothing."""
    browser, asked = Browser("alice"), ask(alice)
    assert browser.session
    asking = Confirmation.objects.get(pk=asked["id"])
    browser.session.mfa_at = timezone.now()  # not saved
    assert is_proved(asking, browser.session)
    with pytest.raises(Conflict):
        answer(_origin(browser), browser.session, asking.pk, asked["number"])
    assert state(alice, asked) == "waiting"


@pytest.mark.parametrize("body", [{}, {"code": ""}, {"code": "1" * 101}, {"code": 123456}, {"code": "1", "x": 1}])
def test_what_is_no_code_is_refused_before_it_is_a_guess(alice: Actor, body: dict[str, Any]) -> None:
    assert call(alice, "POST", "confirm", body).status_code == 422
    assert not AuditEvent.objects.filter(name="user.sign_in.failed").exists()


def test_a_purpose_cannot_draw_on_the_page(alice: Actor) -> None:
    """X11: no markup, no line of its own, no reversed text; and nothing that a database cannot keep."""
    hostile = "log in\0 as <b>root</b>\n\u202eelif \ud800 in vain"
    assert call(alice, "POST", "confirmations", {"purpose": hostile}).status_code in (201, 400, 422)
    for asking in Confirmation.objects.all():
        assert asking.purpose.isprintable()
        assert "<b>root" not in Browser("alice").text(f"/confirm/{asking.pk}")


def test_what_went_over_to_a_terminal_is_known_as_spent_at_once(alice: Actor) -> None:
    """S11: in the live state of every process, not just under the lock."""
    browser, asked = Browser("alice"), ask(alice)
    assert browser.session
    prove(browser)
    assert live.current().fetch_login(str(browser.session.pk)).mfa_spent_at is None  # type: ignore[union-attr]
    browser.post(f"/confirm/{asked['id']}", answer="yes", number=asked["number"])
    assert live.current().peek_login(str(browser.session.pk), time.time()).mfa_spent_at  # type: ignore[union-attr]
