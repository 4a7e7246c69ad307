"""Signing in: what must not get in, step by step, and then the two ways that must."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver

from accounts import cookies
from accounts.authenticators import password, recovery
from accounts.models import LoginSession, SignIn, TotpDevice, User
from accounts.services.invites import invite_user
from accounts.services.users import create_user, disable_user
from broker.audit.event import SignInFailed, SignInThrottled
from broker.models import AuditEvent
from tests.conftest import TESTS, Clock, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)
STEPS = ("password", "new-password", "second-factor", "enrol", "recovery-codes")


def give_password(browser: Client, name: str, password: str, **extra: str) -> HttpResponse:
    return browser.post("/sign-in", {"username": name, "password": password, **extra})  # type: ignore[return-value]


def past_password(person: Person) -> Client:
    """A browser in which the password was given, and nothing more."""
    browser = new_client()
    assert give_password(browser, person.name, person.password)["Location"] == "/sign-in/second-factor"
    return browser


def is_in(browser: Client) -> bool:
    return browser.get("/account").status_code == 200


# --- the password -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "alice"},
        {"password": "x"},
        {"username": "", "password": ""},
        {"username": "alice", "password": "x" * 1_048_576},
        {"username": "a" * 100_000, "password": "x"},
        {"username": "alice\0", "password": "a\0b"},
        {"username": ["alice", "bob"], "password": ["x", "y"]},
        {"username": "\ud7ff", "password": "\uffff"},
    ],
)
def test_a_malformed_sign_in_is_refused(alice: Person, browser: Client, body: dict) -> None:
    """L02."""
    answer = browser.post("/sign-in", body)
    assert answer.status_code == 422
    assert cookies.SIGN_IN not in answer.cookies


@pytest.mark.parametrize("body", ["null", "[]", "{}", "true", "0", '{"username":"alice","password":null}', "\xff"])
def test_a_body_that_is_no_form_is_refused(browser: Client, body: str) -> None:
    """L02, X01."""
    for kind in ("application/json", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded"):
        assert browser.post("/sign-in", body, content_type=kind).status_code in (400, 422)


def test_unknown_names_and_wrong_passwords_sound_the_same(alice: Person, browser: Client, clock: Clock) -> None:
    bodies = []
    for name in ("alice", "nobod"):
        page = give_password(browser, name, "wrong and long enough").content.decode()
        bodies.append(re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page).replace(name, "NAME"))
    assert bodies[0] == bodies[1]
    assert "name or password is wrong" in bodies[0]


def test_unknown_names_take_as_long_as_known_ones(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hash is computed either way."""
    computed = []

    def counted(typed: str, encoded: str) -> tuple[bool, bool]:
        computed.append(encoded)
        return hashers.verify_password(typed, encoded)

    monkeypatch.setattr(password, "verify_password", counted)
    assert not password.is_right(alice.user, "wrong")
    assert not password.is_right(None, "wrong")
    assert not password.is_right(create_user(TESTS, "dora"), "wrong")
    assert len(computed) == 3


@pytest.mark.parametrize("make", ["disabled", "without a factor", "invited only"])
def test_who_may_not_come_in_hears_nothing_but_that_it_is_wrong(alice: Person, browser: Client, make: str) -> None:
    """S10: the right password of a disabled account is as wrong as any."""
    if make == "disabled":
        disable_user(TESTS, alice.user)
    elif make == "without a factor":
        TotpDevice.objects.all().delete()
    else:
        User.objects.update(password="!unusable")
    answer = give_password(browser, "alice", alice.password)
    assert answer.status_code == 422
    assert b"name or password is wrong" in answer.content


def test_all_spellings_run_into_one_limit_with_429(alice: Person, browser: Client, clock: Clock) -> None:
    """L22: and the right password does not help while it lasts."""
    for name in ("alice", "ALICE", " alice", "ａlice", "aliCE"):
        assert give_password(browser, name, "wrong").status_code == 422
    answer = give_password(browser, "alice", alice.password)
    assert answer.status_code == 429
    assert answer["Retry-After"] == "300"
    assert "5 minutes" in answer.content.decode()
    clock.advance(301)
    assert give_password(browser, "alice", alice.password).status_code == 302


def test_unknown_names_are_limited_in_the_same_words(browser: Client, clock: Clock) -> None:
    answers = [give_password(browser, "nobody", "wrong").status_code for _ in range(6)]
    assert answers == [422] * 5 + [429]


def test_the_owner_signs_in_from_a_known_browser_while_others_guess(alice: Person, clock: Clock) -> None:
    """M04."""
    own = past_password(alice)
    own.post("/sign-in/second-factor", {"code": alice.code()})
    own.post("/sign-out")
    attacker = new_client()
    for _ in range(6):
        give_password(attacker, "alice", "wrong")
    assert give_password(attacker, "alice", alice.password).status_code == 429
    assert give_password(own, "alice", alice.password).status_code == 302


def test_a_device_cookie_of_another_account_is_no_help(alice: Person, bob: Person, clock: Clock) -> None:
    """M04: bob's known browser is a stranger to alice."""
    bobs = past_password(bob)
    bobs.post("/sign-in/second-factor", {"code": bob.code()})
    bobs.post("/sign-out")
    for _ in range(5):
        give_password(new_client(), "alice", "wrong")
    assert give_password(bobs, "alice", "wrong").status_code == 429


def test_a_forged_device_cookie_is_no_help(alice: Person, browser: Client, clock: Clock) -> None:
    for _ in range(5):
        give_password(new_client(), "alice", "wrong")
    browser.cookies[cookies.DEVICE] = '{"device":"d","users":["' + str(alice.user.pk) + '"]}:x:y'
    assert give_password(browser, "alice", alice.password).status_code == 429


def test_failures_and_the_block_are_in_the_log_without_what_was_typed(
    alice: Person, browser: Client, clock: Clock
) -> None:
    """A16."""
    for _ in range(7):
        give_password(browser, "alice", "correct horse battery")
    events = list(AuditEvent.objects.filter(name__startswith="user.sign_in").order_by("seq"))
    assert [event.name for event in events] == [SignInFailed.name] * 5 + [SignInThrottled.name]
    assert not any("horse" in f"{event.data}{event.search}" for event in events)
    assert events[-1].data["retry_after"] == 300


# --- between the steps ------------------------------------------------------------------------------------------------


OPEN = re.compile(r"/(healthz|readyz|\.well-known/.*|api/v1/openapi\.json|sign-in|sign-in/second-factor)")
"""What answers 200 to anybody, or to somebody in the middle of signing in."""


def test_after_the_password_alone_nothing_opens_but_the_next_step(alice: Person, settings: Any) -> None:
    """M01: every address of the whole broker, in every method; none answers as if somebody were signed in."""
    settings.ROOT_URLCONF = "broker.urls"
    browser = past_password(alice)
    browser.raise_request_exception = False
    assert cookies.SESSION not in browser.cookies
    assert not LoginSession.objects.exists()
    for path in all_paths():
        for method in ("get", "post", "put", "delete", "patch"):
            if path == "/sign-in/cancel":
                continue  # ends the sign-in, which is all it does
            answer = getattr(browser, method)(path)
            assert answer.status_code != 200 or OPEN.fullmatch(path), (method, path)
            assert answer.status_code < 500, (method, path)
            assert cookies.SESSION not in answer.cookies or not answer.cookies[cookies.SESSION].value, path
            if answer.status_code == 302:
                assert answer["Location"].startswith(("/sign-in", "/")), path
    assert not LoginSession.objects.exists()
    assert not is_in(browser)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("body", [{}, {"code": ""}, {"saved": "yes"}, {"password": "x"}, {"new_password": "y" * 20}])
def test_no_step_can_be_skipped_or_taken_out_of_order(alice: Person, step: str, body: dict) -> None:
    """L03: the password was given; nothing but a right code goes on."""
    browser = past_password(alice)
    answer = browser.post(f"/sign-in/{step}", body)
    assert answer.status_code in (302, 422)
    if answer.status_code == 302:
        assert answer["Location"] == "/sign-in/second-factor"
    assert not LoginSession.objects.exists()
    alice.user.refresh_from_db()
    assert password.is_right(alice.user, alice.password)


@pytest.mark.parametrize("step", STEPS)
def test_no_step_can_be_taken_without_a_sign_in(browser: Client, db: None, step: str) -> None:
    """L03."""
    for method in (browser.get, browser.post):
        assert method(f"/sign-in/{step}", {"code": "123456"})["Location"] == "/sign-in"


def test_a_finished_sign_in_cannot_be_used_again(alice: Person, clock: Clock) -> None:
    """L03."""
    browser = past_password(alice)
    token = browser.cookies[cookies.SIGN_IN].value
    assert browser.post("/sign-in/second-factor", {"code": alice.code()}).status_code == 302
    replay = new_client()
    replay.cookies[cookies.SIGN_IN] = token
    assert replay.post("/sign-in/second-factor", {"code": alice.code(1)})["Location"] == "/sign-in"


def test_two_tabs_end_in_one_session(alice: Person, clock: Clock) -> None:
    """L03: the second tab's password takes the place of the first tab's."""
    browser = past_password(alice)
    give_password(browser, "alice", alice.password)
    assert browser.post("/sign-in/second-factor", {"code": alice.code()}).status_code == 302
    assert browser.post("/sign-in/second-factor", {"code": alice.code(1)})["Location"] == "/sign-in"
    assert LoginSession.objects.count() == 1


def test_alices_step_is_nothing_in_bobs_browser(alice: Person, bob: Person, clock: Clock) -> None:
    """L04: names, ids and codes in the request are ignored; only the cookie says whose sign-in it is."""
    bobs = past_password(bob)
    alices = past_password(alice)
    step = SignIn.objects.get(user=alice.user)
    answer = bobs.post(
        "/sign-in/second-factor",
        {"code": alice.code(), "username": "alice", "user": str(alice.user.pk), "sign_in": str(step.pk)},
    )
    assert answer.status_code == 422
    assert alices.post("/sign-in/second-factor", {"code": bob.code()}).status_code == 422
    assert not LoginSession.objects.exists()


def test_a_sign_in_does_not_wait_for_ever(alice: Person, clock: Clock) -> None:
    browser = past_password(alice)
    clock.advance(15 * 60 + 1)
    assert browser.post("/sign-in/second-factor", {"code": alice.code()})["Location"] == "/sign-in"


def test_disabling_ends_a_sign_in_under_way(alice: Person, clock: Clock) -> None:
    """S10."""
    browser = past_password(alice)
    disable_user(TESTS, alice.user)
    assert browser.post("/sign-in/second-factor", {"code": alice.code()})["Location"] == "/sign-in"
    assert not LoginSession.objects.exists()


def test_codes_are_limited_across_sign_ins_and_doors(alice: Person, clock: Clock) -> None:
    """M04: the password in between resets nothing."""
    for _ in range(5):
        assert past_password(alice).post("/sign-in/second-factor", {"code": "000000"}).status_code == 422
    answer = give_password(new_client(), "alice", alice.password)
    assert answer.status_code == 429


def test_the_right_code_is_not_used_up_while_throttled(alice: Person, clock: Clock) -> None:
    browser = past_password(alice)
    for _ in range(5):
        browser.post("/sign-in/second-factor", {"code": "000000"})
    assert browser.post("/sign-in/second-factor", {"code": alice.code()}).status_code == 429
    clock.advance(330)
    assert browser.post("/sign-in/second-factor", {"code": alice.code()}).status_code == 302


def test_a_code_signs_in_once(alice: Person, clock: Clock) -> None:
    """M03: at the door."""
    code = alice.code()
    assert past_password(alice).post("/sign-in/second-factor", {"code": code}).status_code == 302
    assert past_password(alice).post("/sign-in/second-factor", {"code": code}).status_code == 422


# --- what must work ---------------------------------------------------------------------------------------------------


def test_alice_signs_in_and_lands_where_she_was_going(alice: Person, browser: Client, clock: Clock) -> None:
    led = browser.get("/account")
    assert led["Location"] == "/sign-in?next=/account"
    assert 'value="/account"' in browser.get(led["Location"]).content.decode()
    assert give_password(browser, "alice", alice.password, next="/account")["Location"] == "/sign-in/second-factor"
    answer = browser.post("/sign-in/second-factor", {"code": alice.code()})
    assert answer["Location"] == "/account"
    assert is_in(browser)
    session = LoginSession.objects.get()
    assert set(session.amr) == {"pwd", "otp", "mfa"}
    assert session.mfa_at == clock.now
    assert browser.get("/sign-in")["Location"] == "/"


def test_alice_signs_in_with_a_recovery_code(alice: Person, clock: Clock) -> None:
    code = recovery.new_codes(alice.user)[3]
    browser = past_password(alice)
    assert browser.post("/sign-in/second-factor?with=recovery-code", {"code": code}).status_code == 302
    assert is_in(browser)
    assert recovery.left(alice.user) == 9
    used = AuditEvent.objects.get(name="user.recovery_code.used")
    assert used.data["left"] == 9


def test_a_launch_is_followed_from_a_page_since_no_form_may_lead_to_an_app(alice: Person, clock: Clock) -> None:
    browser = new_client()
    give_password(browser, "alice", alice.password, next="/launch/grafana?next=/d/1&state=abc")
    page = browser.post("/sign-in/second-factor", {"code": alice.code()})
    assert page.status_code == 200
    assert 'content="0; url=/launch/grafana?next=/d/1&amp;state=abc"' in page.content.decode()
    assert is_in(browser)


def test_the_cookies_are_for_this_host_alone_and_unreadable_for_scripts(alice: Person, clock: Clock) -> None:
    browser = past_password(alice)
    answer = browser.post("/sign-in/second-factor", {"code": alice.code()})
    for name in (cookies.SESSION, cookies.DEVICE):
        cookie = answer.cookies[name]
        assert cookie["secure"]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        assert cookie["path"] == "/"
        assert not cookie["domain"]
    assert not answer.cookies[cookies.SIGN_IN].value


def test_pages_are_not_kept_and_say_how_to_fill_them_in(alice: Person, browser: Client) -> None:
    """S06."""
    page = browser.get("/sign-in")
    assert "no-store" in page["Cache-Control"]
    text = page.content.decode()
    assert 'autocomplete="username webauthn"' in text
    assert 'autocomplete="current-password"' in text
    assert 'autocomplete="one-time-code"' in past_password(alice).get("/sign-in/second-factor").content.decode()


def test_no_address_and_no_log_line_carries_what_opens_doors(
    alice: Person, browser: Client, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """S15."""
    caplog.set_level("DEBUG")
    code = alice.code()
    answers: list[Any] = [give_password(browser, "alice", alice.password, next="/account")]
    answers.append(browser.get("/sign-in/second-factor"))
    answers.append(browser.post("/sign-in/second-factor", {"code": code}))
    answers.append(browser.get("/account"))
    secrets = [alice.password, code, *(cookie.value for cookie in browser.cookies.values() if cookie.value)]
    for answer in answers:
        text = answer.headers.get("Location", "") + answer.content.decode()
        assert not [secret for secret in secrets if secret in text]
    assert not [secret for secret in secrets if secret in caplog.text]


def all_paths() -> list[str]:
    """Every address of the broker, with something in place of its parameters."""
    found = []

    def walk(patterns: list, prefix: str) -> None:
        for entry in patterns:
            route = prefix + str(entry.pattern)
            if hasattr(entry, "url_patterns"):
                walk(entry.url_patterns, route)
            else:
                filled = re.sub(r"<uuid:\w+>", "6f1c8f0e-0000-4000-8000-000000000000", route)
                found.append("/" + re.sub(r"<[^>]+>", "1", filled).replace("^", "").replace("$", ""))

    walk(get_resolver().url_patterns, "")
    return found


def test_time_is_spent_on_one_hash_whoever_asks(alice: Person, clock: Clock) -> None:
    """Known and unknown names answer in like time: medians within a factor of two."""

    def median(user: User | None) -> float:
        spent = []
        for _ in range(15):
            began = time.perf_counter()
            password.is_right(user, "wrong")
            spent.append(time.perf_counter() - began)
        return sorted(spent)[7]

    known, unknown = median(alice.user), median(None)
    assert 0.5 < known / unknown < 2


def test_dora_comes_in_by_her_invite(browser: Client, clock: Clock) -> None:
    dora = create_user(TESTS, "dora")
    path = invite_user(TESTS, dora).url.removeprefix("http://postern.localhost:8080")
    assert browser.get(path).status_code == 200
    assert browser.post(path)["Location"] == "/sign-in/new-password"
    answer = browser.post("/sign-in/new-password", {"new_password": "tall ships sail at noon"})
    assert answer["Location"] == "/sign-in/enrol"
    page = browser.get("/sign-in/enrol").content.decode()
    assert "otpauth://totp/" in page
    assert "<svg" in page
    device = dora.totp_devices.get()
    page = browser.post("/sign-in/enrol", {"code": Person(dora, "", device).code()}).content.decode()
    assert len(re.findall(r"<li>[0-9a-z]{4}(?:-[0-9a-z]{4}){3}</li>", page)) == 10
    assert browser.post("/sign-in/recovery-codes", {"saved": "yes"})["Location"] == "/"
    assert is_in(browser)
    dora.refresh_from_db()
    assert password.is_right(dora, "tall ships sail at noon")
