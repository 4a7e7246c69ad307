"""The first way in: an invite, then password and code; and what must not get in."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from accounts import cookies
from accounts.models import LoginSession, SignIn
from accounts.services.invites import invite_user
from accounts.services.users import create_user
from broker.models import AuditEvent
from tests.conftest import TESTS, Clock, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)


def give_password(browser: Client, name: str, password: str, **extra: str):  # type: ignore[no-untyped-def]
    return browser.post("/sign-in", {"username": name, "password": password, **extra})


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
    code = Person(dora, "", device).code()
    page = browser.post("/sign-in/enrol", {"code": code}).content.decode()
    assert len(re.findall(r"<li>[0-9a-z]{4}(?:-[0-9a-z]{4}){3}</li>", page)) == 10
    assert browser.post("/sign-in/recovery-codes", {"saved": "yes"})["Location"] == "/"
    assert browser.get("/account").status_code == 200
    session = LoginSession.objects.get(user=dora)
    assert set(session.amr) == {"pwd", "otp", "mfa"}


def test_alice_signs_in_with_password_and_code_and_lands_where_she_was_going(alice: Person, browser: Client) -> None:
    led = browser.get("/account")
    assert led["Location"] == "/sign-in?next=/account"
    assert give_password(browser, "alice", alice.password, next="/account")["Location"] == "/sign-in/second-factor"
    assert browser.post("/sign-in/second-factor", {"code": alice.code()})["Location"] == "/account"
    assert browser.get("/account").status_code == 200
