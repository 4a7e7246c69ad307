"""Login sessions: limits, rotation, hostile cookies, and every way they end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from accounts import cookies, sessions
from accounts.authenticators import password
from accounts.cli_token import token_in
from accounts.models import LoginSession, SignIn
from accounts.services.invites import reset_factors
from accounts.services.login_sessions import expire_sessions, sign_out_everywhere
from accounts.services.users import delete_user, disable_user, enable_user
from broker.models import AuditEvent
from tests.accounts.cli_token import login_session_of
from tests.accounts.test_sign_in import give_password, is_in
from tests.conftest import TESTS, Clock, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)


def ended(person: Person) -> list[str]:
    """Why sessions ended, as the log says."""
    events = AuditEvent.objects.filter(name="login_session.ended", data__user_name=person.name).order_by("seq")
    return [event.data["why"] for event in events]


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_session_ends_when_unused(alice: Person, clock: Clock) -> None:
    """S05."""
    assert is_in(alice.client)
    clock.advance(settings.POSTERN.session_idle + 1)
    assert not is_in(alice.client)


def test_use_puts_off_the_idle_limit_but_never_the_absolute_one(alice: Person, clock: Clock) -> None:
    """S05."""
    began = clock.now
    while (clock.now - began).total_seconds() < settings.POSTERN.session_max - 600:
        assert is_in(alice.client)
        clock.advance(600)
    clock.advance(601)
    assert not is_in(alice.client)


def test_background_polling_puts_off_nothing(alice: Person, clock: Clock) -> None:
    """S05."""
    began = clock.now
    while (clock.now - began).total_seconds() <= settings.POSTERN.session_idle - 600:
        assert alice.client.get("/account", headers={"X-Postern-Background": "1"}).status_code == 200
        clock.advance(600)
    clock.advance(1)
    assert alice.client.get("/account", headers={"X-Postern-Background": "1"}).status_code == 302


def test_use_is_written_down_once_a_minute(alice: Person, clock: Clock, django_assert_num_queries: Any) -> None:
    first = alice.session.last_seen_at
    clock.advance(59)
    is_in(alice.client)
    assert alice.session.last_seen_at == first
    clock.advance(2)
    is_in(alice.client)
    assert alice.session.last_seen_at == clock.now


def test_what_ran_out_is_ended_by_housekeeping_once(alice: Person, clock: Clock) -> None:
    assert alice.client
    clock.advance(settings.POSTERN.session_max + 1)
    assert expire_sessions() == 1
    assert expire_sessions() == 0
    assert ended(alice) == ["expired"]


# --- rotation ---------------------------------------------------------------------------------------------------------


def test_the_sign_in_token_never_becomes_the_session(alice: Person, browser: Client, clock: Clock) -> None:
    """S03."""
    give_password(browser, "alice", alice.password)
    before = browser.cookies[cookies.SIGN_IN].value
    browser.post("/sign-in/second-factor", {"code": alice.code()})
    after = browser.cookies[cookies.SESSION].value
    assert before != after
    for name in (cookies.SESSION, cookies.SIGN_IN):
        thief = new_client()
        thief.cookies[name] = before
        assert not is_in(thief)


def test_a_session_fixed_before_signing_in_dies_with_it(alice: Person, bob: Person, clock: Clock) -> None:
    """S03: bob's session planted in alice's browser is replaced and ended."""
    planted, session = bob.new_browser()
    give_password(planted, "alice", alice.password)
    planted.post("/sign-in/second-factor", {"code": alice.code()})
    assert b"alice" in planted.get("/account").content
    session.refresh_from_db()
    assert session.ended_reason == "replaced"


def test_confirming_changes_the_token_and_the_old_one_is_dead(alice: Person, clock: Clock) -> None:
    """S03: a privilege change."""
    old = alice.client.cookies[cookies.SESSION].value
    clock.advance(600)
    assert alice.client.post("/account/confirm?next=/account", {"code": alice.code()})["Location"] == "/account"
    assert is_in(alice.client)
    thief = new_client()
    thief.cookies[cookies.SESSION] = old
    assert not is_in(thief)
    assert alice.session.mfa_at == clock.now


# --- hostile cookies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["", "x", "a" * 43, "a" * 5000, "é" * 43, "../../etc", "' OR 1=1 --", "null", "a" * 42 + "\n", "[]"]
)
def test_a_cookie_that_is_no_token_is_nobody(db: None, value: str) -> None:
    """S17."""
    header = f"{cookies.SESSION}={value}".encode().decode("latin-1")
    assert new_client().get("/account", headers={"Cookie": header}).status_code == 302


def test_two_cookies_of_one_name_are_nobody(alice: Person, bob: Person) -> None:
    """S17: whoever tossed the second one, we do not choose."""
    alices, bobs = (p.client.cookies[cookies.SESSION].value for p in (alice, bob))
    for first, second in ((alices, bobs), (bobs, alices), (alices, "x"), (alices, alices)):
        header = f"{cookies.SESSION}={first}; {cookies.SESSION}={second}"
        assert new_client().get("/account", headers={"Cookie": header}).status_code == 302


@pytest.mark.parametrize("noise", ["=nameless", "=", ";;;", "x=" + "y" * 4096, "postern=1", "__host-postern=1"])
def test_other_cookies_do_not_hide_ours(alice: Person, noise: str) -> None:
    """S17."""
    token = alice.client.cookies[cookies.SESSION].value
    header = f"{noise}; {cookies.SESSION}={token}"
    assert new_client().get("/account", headers={"Cookie": header}).status_code == 200


def test_a_cli_token_in_the_cookie_and_a_cookie_as_token_open_nothing(alice: Person) -> None:
    token = alice.client.cookies[cookies.SESSION].value
    assert token_in(f"DPoP {token}") == ""
    assert login_session_of(f"ptn_cli_{token}") is None
    session = alice.session
    LoginSession.objects.filter(pk=session.pk).update(kind="cli")
    assert not is_in(alice.client)


@pytest.mark.parametrize(
    "header",
    ["", "DPoP", "DPoP ", "Basic abc", "ptn_cli_" + "a" * 43, "DPoP ptn_cli_\0", "Bearer ptn_cli_" + "a" * 43],
)
def test_a_header_of_another_form_holds_no_token(header: str) -> None:
    assert token_in(header) == ""


# --- every way to end -------------------------------------------------------------------------------------------------


def test_signing_out_ends_this_session_only(alice: Person) -> None:
    other, _ = alice.new_browser()
    token = alice.client.cookies[cookies.SESSION].value
    assert alice.client.post("/sign-out")["Location"] == "/sign-in"
    thief = new_client()
    thief.cookies[cookies.SESSION] = token
    assert not is_in(thief)
    assert is_in(other)
    assert ended(alice) == ["signed-out"]


@pytest.mark.parametrize("how", ["everywhere", "password", "disable", "reset", "delete", "admin"])
def test_every_session_is_dead_at_once(alice: Person, bob: Person, clock: Clock, how: str) -> None:
    """S09, S10."""
    browsers = [alice.new_browser()[0] for _ in range(3)]
    assert all(map(is_in, browsers))
    match how:
        case "everywhere":
            browsers[0].post("/account/sign-out-everywhere")
        case "password":
            new = {"password": alice.password, "new_password": "many a mile to go before"}
            assert browsers.pop(0).post("/account/password", new)["Location"] == "/account"
        case "disable":
            assert disable_user(TESTS, alice.user, "left") == 3
        case "reset":
            reset_factors(TESTS, alice.user)
        case "delete":
            delete_user(TESTS, alice.user)
        case "admin":
            assert sign_out_everywhere(TESTS, alice.user) == 3
    assert not any(map(is_in, browsers))
    assert is_in(bob.client)
    assert len(ended(alice)) == len(browsers)


def test_a_row_ended_behind_our_back_is_dead_too(alice: Person, clock: Clock) -> None:
    """S09: there is no cache to outlive the row."""
    assert is_in(alice.client)
    LoginSession.objects.update(ended_at=clock.now)
    assert not is_in(alice.client)


def test_a_deleted_row_is_dead_too(alice: Person) -> None:
    """S09."""
    assert is_in(alice.client)
    LoginSession.objects.all().delete()
    assert not is_in(alice.client)


def test_enabling_again_brings_no_session_back(alice: Person) -> None:
    """S10."""
    assert is_in(alice.client)
    disable_user(TESTS, alice.user)
    enable_user(TESTS, alice.user)
    assert not is_in(alice.client)


def test_changing_the_password_keeps_this_browser_and_changes_its_token(alice: Person) -> None:
    """S03, S09."""
    old = alice.client.cookies[cookies.SESSION].value
    new = {"password": alice.password, "new_password": "many a mile to go before"}
    alice.client.post("/account/password", new)
    assert is_in(alice.client)
    assert alice.client.cookies[cookies.SESSION].value != old
    alice.user.refresh_from_db()
    assert password.is_right(alice.user, "many a mile to go before")


def test_a_new_password_wants_the_old_one_and_guessing_it_is_limited(alice: Person, clock: Clock) -> None:
    for status in [422] * 5 + [429]:
        body = {"password": "wrong", "new_password": "many a mile to go before"}
        assert alice.client.post("/account/password", body).status_code == status
    alice.user.refresh_from_db()
    assert password.is_right(alice.user, alice.password)


def test_nobody_ends_anothers_session(alice: Person, bob: Person) -> None:
    session = alice.session
    assert bob.client.post(f"/account/sessions/{session.pk}/end").status_code == 404
    assert is_in(alice.client)


def test_alice_ends_one_of_her_sessions(alice: Person) -> None:
    other, session = alice.new_browser()
    assert alice.client.get(f"/account/sessions/{session.pk}/end").status_code == 200
    assert alice.client.post(f"/account/sessions/{session.pk}/end")["Location"] == "/account"
    assert not is_in(other)
    assert is_in(alice.client)
    assert ended(alice) == ["revoked"]


def test_ending_twice_at_once_is_one_event(alice: Person) -> None:
    session = alice.session

    def end(_: int) -> None:
        from accounts.services.login_sessions import end_login_session

        try:
            end_login_session(TESTS, LoginSession.objects.select_related("user").get(pk=session.pk))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(end, range(8)))
    assert ended(alice) == ["signed-out"]


# --- what is stored ---------------------------------------------------------------------------------------------------


def test_the_store_holds_no_token_password_or_seed(alice: Person, browser: Client, clock: Clock) -> None:
    """S14: every text in every table of accounts, after a whole sign-in."""
    give_password(browser, "alice", alice.password)
    secrets = [alice.password, alice.device.seed, browser.cookies[cookies.SIGN_IN].value]
    assert SignIn.objects.exists()
    dump = dump_of_database()
    browser.post("/sign-in/second-factor", {"code": alice.code()})
    secrets.append(browser.cookies[cookies.SESSION].value)
    dump += dump_of_database()
    assert not [secret for secret in secrets if secret in dump]


def dump_of_database() -> str:
    """Every row of every table as text."""
    text = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            text.append(str(cursor.fetchall()))
    return "\n".join(text)


def test_ends_at_is_the_nearer_limit(alice: Person, clock: Clock) -> None:
    session = alice.session
    assert (sessions.ends_at(session) - clock.now).total_seconds() == settings.POSTERN.session_idle
    clock.advance(settings.POSTERN.session_max - 10)
    session.last_seen_at = clock.now
    assert (sessions.ends_at(session) - clock.now).total_seconds() == 10
