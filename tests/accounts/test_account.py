"""My account, and the forms nobody else may send in my name."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from accounts.authenticators import recovery, totp
from accounts.models import LoginSession, TotpDevice
from accounts.services.users import update_user
from tests.accounts.test_sign_in import all_paths
from tests.conftest import TESTS, Clock, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)
XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"
FRESH_ONLY = ["/account/recovery-codes", "/account/authenticator", "/account/authenticator/remove"]
WITHOUT_COOKIES = {"/oauth/token"}
"""Takes a one-use code and its verifier; no cookie counts there, so there is nothing to forge."""


@pytest.mark.parametrize("path", FRESH_ONLY)
@pytest.mark.parametrize("method", ["get", "post"])
def test_factors_are_changed_only_just_after_giving_one(alice: Person, clock: Clock, path: str, method: str) -> None:
    """M09."""
    codes = recovery.new_codes(alice.user)
    assert alice.client
    clock.advance(301)
    answer = getattr(alice.client, method)(path, {"code": alice.code()})
    assert answer["Location"].startswith(f"/account/confirm?next={path}")
    assert recovery.left(alice.user) == len(codes)
    assert totp.device_of(alice.user) == alice.device


def test_confirming_leads_back_to_what_wanted_it(alice: Person, clock: Clock) -> None:
    assert alice.client
    clock.advance(301)
    url = alice.client.get("/account/recovery-codes")["Location"]
    assert alice.client.post(url, {"code": "000000"}).status_code == 422
    assert alice.client.post(url, {"code": alice.code()})["Location"] == "/account/recovery-codes"
    page = alice.client.post("/account/recovery-codes").content.decode()
    assert len(re.findall(r"<li>[0-9a-z-]{19}</li>", page)) == 10


def test_confirming_is_limited_by_the_same_counter(alice: Person, clock: Clock) -> None:
    """M04: another door, one counter."""
    for status in [422] * 5 + [429]:
        assert alice.client.post("/account/confirm", {"code": "000000"}).status_code == status
    answer = new_client().post("/sign-in", {"username": "alice", "password": alice.password})
    assert answer.status_code == 429


def test_a_used_code_confirms_nothing(alice: Person, clock: Clock) -> None:
    """M03."""
    code = alice.code()
    assert alice.client.post("/account/confirm", {"code": code}).status_code == 302
    assert alice.client.post("/account/confirm", {"code": code}).status_code == 422


def test_another_authenticator_takes_the_place_of_the_old(alice: Person, clock: Clock) -> None:
    old = alice.code()
    assert alice.client.get("/account/authenticator").status_code == 200
    pending = TotpDevice.objects.get(user=alice.user, confirmed=False)
    assert totp.device_of(alice.user) == alice.device, "the old one works until the new one is proved"
    assert alice.client.post("/account/authenticator", {"code": old}).status_code == 422
    code = Person(alice.user, "", pending).code()
    assert alice.client.post("/account/authenticator", {"code": code})["Location"] == "/account"
    assert totp.device_of(alice.user) == pending
    assert TotpDevice.objects.filter(user=alice.user).count() == 1
    assert not totp.is_right(totp.device_of(alice.user), old)


def test_the_last_factor_cannot_be_removed(alice: Person) -> None:
    """M12."""
    assert alice.client.post("/account/authenticator/remove").status_code == 409
    assert totp.device_of(alice.user) == alice.device


def test_alice_sees_her_sessions_and_not_bobs(alice: Person, bob: Person) -> None:
    _, bobs = bob.new_browser()
    alice.new_browser()
    page = alice.client.get("/account").content.decode()
    assert page.count("/end") == 2
    assert "this one" in page
    assert str(bobs.pk) not in page


@pytest.mark.parametrize("field", ["device_name", "address", "user_agent"])
def test_hostile_text_in_a_session_is_inert(alice: Person, field: str) -> None:
    """X09."""
    LoginSession.objects.filter(pk=alice.session.pk).update(**{field: XSS[:64]})
    page = alice.client.get("/account").content.decode()
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_hostile_text_in_names_and_traits_is_inert(alice: Person) -> None:
    """X09."""
    update_user(TESTS, alice.user, full_name=XSS, email=XSS, traits={XSS: [XSS]})
    page = alice.client.get("/account").content.decode()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "{{7*7}}" in page


# --- forged requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "application/json", "text/plain", "multipart/form-data"]
)
@pytest.mark.parametrize("token", [None, "x", "a" * 64])
def test_no_address_does_anything_without_its_token(alice: Person, kind: str, token: str | None) -> None:
    """X01, X03: every address of accounts, signing in and out included, in every content type."""
    browser, session = alice.new_browser(enforce_csrf_checks=True)
    headers = {"X-CSRFToken": token} if token else {}
    for path in all_paths():
        if path in WITHOUT_COOKIES or not path.startswith(("/sign", "/account", "/invite", "/oauth")):
            continue
        answer = browser.post(path, "{}", content_type=kind, headers=headers)
        assert answer.status_code in (403, 405), path
    session.refresh_from_db()
    assert session.ended_at is None


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://grafana.postern.localhost:8080"])
def test_a_right_token_from_another_origin_is_refused(browser: Client, alice: Person, origin: str) -> None:
    """X01: a sibling app host included."""
    browser.handler.enforce_csrf_checks = True
    page = browser.get("/sign-in").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    body = {"username": "alice", "password": alice.password, "csrfmiddlewaretoken": token[1]}
    assert browser.post("/sign-in", body, headers={"Origin": origin}).status_code == 403
    good = browser.post("/sign-in", body, headers={"Origin": "http://postern.localhost:8080"})
    assert good.status_code == 302


def test_the_token_changes_on_signing_in(alice: Person, browser: Client, clock: Clock) -> None:
    """X03, S03."""
    browser.get("/sign-in")
    before = browser.cookies["__Host-postern-csrf"].value
    browser.post("/sign-in", {"username": "alice", "password": alice.password})
    browser.post("/sign-in/second-factor", {"code": alice.code()})
    assert browser.cookies["__Host-postern-csrf"].value != before


def test_a_get_changes_nothing(alice: Person) -> None:
    """X03: links and images sign nobody out."""
    for path in ("/sign-out", "/account/sign-out-everywhere", f"/account/sessions/{alice.session.pk}/end"):
        assert alice.client.get(path).status_code in (200, 405)
    assert alice.client.get("/account").status_code == 200
