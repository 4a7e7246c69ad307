"""A session cookie that turns up elsewhere (S08): recorded, told, confirmed or ended as the setting says."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts import cookies
from accounts.models import LoginSession, Notice
from accounts.services.moves import note_address_of
from broker.audit.origin import Origin
from broker.models import AuditEvent
from tests.accounts.test_places import CHROME, FIREFOX, FIREFOX_NEWER
from tests.conftest import Clock, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)
HOME, CAFE, MOBILE = "127.0.0.1", "198.51.100.7", "203.0.113.20"


def use(browser: Client, address: str, path: str = "/account", **headers: str) -> Any:
    return browser.get(path, headers={"X-Real-Ip": address, **headers})


def moves() -> list[tuple[str, str]]:
    found = AuditEvent.objects.filter(name="login_session.moved").order_by("seq")
    return [(event.data["before"], event.data["after"]) for event in found]


def wanted(settings: Any, what: str) -> None:
    settings.POSTERN = settings.POSTERN.model_copy(update={"session_address_change": what})


# --- another network --------------------------------------------------------------------------------------------------


def test_each_change_of_network_is_one_event(alice: Person) -> None:
    """S08."""
    for address in (HOME, HOME, CAFE, CAFE, CAFE, HOME, MOBILE):
        assert use(alice.client, address).status_code == 200
    assert moves() == [(HOME, CAFE), (CAFE, HOME), (HOME, MOBILE)]
    assert alice.session.last_address == MOBILE
    assert alice.session.address == HOME
    event = AuditEvent.objects.filter(name="login_session.moved").first()
    assert event
    assert (event.actor_name, event.data["user_name"], event.login_session_id) == ("alice", "alice", event.resource_id)


def test_a_network_is_told_of_when_it_is_new_to_the_account_and_once(alice: Person) -> None:
    """S08."""
    other, _ = alice.new_browser()
    for browser in (alice.client, other, alice.client):
        for address in (CAFE, HOME, "198.51.100.200"):  # the last one is next door to the café
            use(browser, address)
    assert [(notice.kind, notice.data["network"]) for notice in Notice.objects.all()] == [
        ("address-changed", "198.51.100.0/24")
    ]


def test_bobs_places_are_not_alices(alice: Person, bob: Person) -> None:
    use(bob.client, CAFE)
    use(alice.client, CAFE)
    assert {notice.user.username for notice in Notice.objects.all()} == {"alice", "bob"}


def test_who_moves_is_asked_for_the_second_factor_before_anything_else(
    alice: Person, clock: Clock, settings: Any
) -> None:
    """S08."""
    wanted(settings, "confirm")
    assert alice.client
    clock.advance(60)
    assert use(alice.client, CAFE, "/account?x=1")["Location"] == "/account/confirm?next=/account%3Fx%3D1"
    launch = use(alice.client, CAFE, "/launch/grafana?next=/&state=x")
    assert launch["Location"].startswith("/account/confirm?next=/launch/grafana")
    posted = alice.client.post("/account/sign-out-everywhere", headers={"X-Real-Ip": CAFE})
    assert posted["Location"] == "/account/confirm?next=/"
    assert LoginSession.objects.filter(ended_at=None).count() == 1, "the form did nothing"
    assert use(alice.client, CAFE, "/", **{"Sec-Fetch-Mode": "cors"}).status_code == 403
    assert use(alice.client, HOME).status_code == 302, "going back home does not help"
    done = alice.client.post("/account/confirm?next=/account", {"code": alice.code()}, headers={"X-Real-Ip": CAFE})
    assert done["Location"] == "/account"
    assert use(alice.client, CAFE).status_code == 200


def test_who_confirms_at_a_provider_comes_back_from_there(alice: Person, settings: Any) -> None:
    """S08: else whoever has no second factor here could never confirm. What comes back has rules of its own."""
    wanted(settings, "confirm")
    use(alice.client, HOME, "/account")
    assert use(alice.client, CAFE, "/account").status_code == 302
    back = use(alice.client, CAFE, "/oidc/nowhere/callback?state=x&code=y")
    assert back.status_code == 404, "there is no such provider: the view was asked"
    assert use(alice.client, CAFE, "/account/confirm/oidc/nowhere").status_code == 405
    for path in ("/account", "/account/confirmations", "/oidc/nowhere/callback/", "/oauth/authorize", "/confirm/x"):
        assert use(alice.client, CAFE, path)["Location"].startswith("/account/confirm?next="), path


def test_a_move_ends_the_session_if_the_setting_says_so(alice: Person, settings: Any) -> None:
    """S08."""
    wanted(settings, "end")
    assert use(alice.client, HOME).status_code == 200
    assert use(alice.client, CAFE)["Location"].startswith("/sign-in")
    assert use(alice.client, HOME)["Location"].startswith("/sign-in"), "it is dead everywhere"
    assert LoginSession.objects.get().ended_reason == "address-changed"
    assert Notice.objects.get().kind == "session-ended"


def test_an_address_that_changes_within_its_network_is_no_move(alice: Person, settings: Any) -> None:
    wanted(settings, "end")
    LoginSession.objects.filter(pk=alice.session.pk).update(last_address="2001:db8::1")
    assert use(alice.client, "2001:db8::2").status_code == 200
    assert alice.session.last_address == "2001:db8::2"
    assert moves() == []


# --- another browser --------------------------------------------------------------------------------------------------


def in_firefox(person: Person) -> tuple[Client, LoginSession]:
    browser, session = person.new_browser(headers={"User-Agent": FIREFOX})
    LoginSession.objects.filter(pk=session.pk).update(user_agent=FIREFOX, device_name="Firefox on Linux")
    return browser, session


@pytest.mark.parametrize("thief", [CHROME, "curl/8.5.0", "", "x" * 5000])
def test_a_stolen_cookie_in_another_browser_ends_the_session(alice: Person, thief: str) -> None:
    """S08."""
    browser, session = in_firefox(alice)
    assert browser.get("/account").status_code == 200
    stolen = new_client(headers={"User-Agent": thief})
    stolen.cookies[cookies.SESSION] = browser.cookies[cookies.SESSION].value
    assert stolen.get("/account")["Location"].startswith("/sign-in")
    assert browser.get("/account").status_code == 302, "alice signs in again, the thief cannot"
    session.refresh_from_db()
    assert session.ended_reason == "browser-changed"
    notice = Notice.objects.get(user=alice.user)
    assert (notice.kind, notice.data["why"]) == ("session-ended", "browser-changed")


def test_a_browser_that_was_updated_goes_on(alice: Person) -> None:
    browser, _ = in_firefox(alice)
    assert browser.get("/account", headers={"User-Agent": FIREFOX_NEWER}).status_code == 200


# --- command lines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["record", "confirm", "end"])
def test_a_command_line_that_moves_is_recorded_and_goes_on(alice: Person, settings: Any, what: str) -> None:
    """S08: its token is worth nothing without its key, wherever it is."""
    wanted(settings, what)
    session = alice.session
    LoginSession.objects.filter(pk=session.pk).update(kind=LoginSession.Kind.CLI)
    for address in (HOME, CAFE, CAFE):
        note_address_of(Origin(address=address), session.pk, address)
    session.refresh_from_db()
    assert (session.last_address, session.ended_at) == (CAFE, None)
    assert moves() == [(HOME, CAFE)]
