"""Passkeys in Chromium with its virtual authenticators, against the running product.

`CONSOLE_PICTURES=DIR` keeps a picture of every page about them, to look at.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    CDPSession,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.real.product import Product
from tests.real.test_console_pages import CHROMIUM, QUIET, focused, go_to, too_small

pytestmark = pytest.mark.real

PICTURES = os.environ.get("CONSOLE_PICTURES", "")
PASSWORD = "the old lighthouse keeper walks home"
LAPTOP = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
SECURITY_KEY = {"protocol": "ctap2", "transport": "usb", "hasResidentKey": False}
GIVES_UP = 30_000
"""Milliseconds in which Chromium lets a request go that no key can answer."""

ABLE = {"hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True}


@dataclass
class Seat:
    """Somebody at a browser with authenticators: virtual ones, which do what a person would do with their hands."""

    page: Page
    cdp: CDPSession
    keys: list[str] = field(default_factory=list)

    def plug_in(self, kind: dict[str, Any], **how: Any) -> str:
        """Another authenticator; its id."""
        added = self.cdp.send("WebAuthn.addVirtualAuthenticator", {"options": {**kind, **ABLE, **how}})
        self.keys.append(added["authenticatorId"])
        return self.keys[-1]

    def unplug(self, key: str) -> None:
        self.keys.remove(key)
        self.cdp.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": key})

    def stolen(self, key: str) -> dict[str, Any]:
        """The credential in a key, as somebody could copy it who has opened it up."""
        found: dict[str, Any] = self.cdp.send("WebAuthn.getCredentials", {"authenticatorId": key})["credentials"][0]
        return found

    def put(self, key: str, credential: dict[str, Any]) -> None:
        self.cdp.send("WebAuthn.addCredential", {"authenticatorId": key, "credential": credential})

    def verifies(self, key: str, yes: bool) -> None:
        """Whether the finger fits."""
        self.cdp.send("WebAuthn.setUserVerified", {"authenticatorId": key, "isUserVerified": yes})

    def press(self, name: str) -> None:
        self.page.locator("main").get_by_role("button", name=name).click()

    def sign_out(self) -> None:
        self.page.context.clear_cookies()


@dataclass
class World:
    """The product, a browser, and what made the browser complain."""

    product: Product
    chromium: Browser
    complaints: list[str] = field(default_factory=list)

    def seat(self, width: int = 1280, height: int = 900, **how: Any) -> Seat:
        context = self.chromium.new_context(
            viewport={"width": width, "height": height}, base_url=self.product.url, **how
        )
        context.on("console", self._heard)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        page = context.new_page()
        cdp = context.new_cdp_session(page)
        cdp.send("WebAuthn.enable", {"enableUI": False})
        return Seat(page, cdp)

    def _heard(self, message: ConsoleMessage) -> None:
        refused = "status of 422" in message.text or "status of 409" in message.text  # pages that say what was wrong
        if message.type in ("error", "warning") and not refused:
            self.complaints.append(f"{message.page.url if message.page else ''}: {message.text}")

    def invite(self, name: str) -> str:
        return self.product.manage("invite", name).strip()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Product(tmp_path_factory.mktemp("passkeys") / "data") as product, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield World(product, chromium)
        chromium.close()


@pytest.fixture(autouse=True)
def _nothing_is_complained_about(world: World) -> Iterator[None]:
    """Every test: no script failed and no policy was violated."""
    world.complaints.clear()
    yield
    assert world.complaints == []


@pytest.fixture
def seat(world: World) -> Iterator[Seat]:
    seat = world.seat()
    yield seat
    seat.page.context.close()


def come_in(world: World, seat: Seat, name: str) -> str:
    """By an invite, with a password and a passkey on this device; the authenticator's id."""
    key = seat.plug_in(LAPTOP)
    page = seat.page
    page.goto(world.invite(name))
    seat.press("Go on as")
    page.get_by_label("New password").fill(PASSWORD)
    seat.press("Go on")
    expect(page.locator("h1")).to_have_text("Set up your second factor")
    seat.press("Set up a passkey")
    expect(page.locator("h1")).to_have_text("Keep your recovery codes")
    seat.press("I have saved them")
    page.wait_for_url(world.product.url + "/")
    return key


def give_password(seat: Seat, name: str) -> None:
    seat.page.goto("/sign-in")
    seat.page.get_by_label("Name").fill(name)
    seat.page.get_by_label("Password", exact=True).fill(PASSWORD)
    seat.press("Go on")


def no_suggestions(seat: Seat) -> None:
    """The virtual authenticator answers suggestions by itself, at once: here somebody presses the button."""
    seat.page.add_init_script("delete PublicKeyCredential.isConditionalMediationAvailable")


def impatient(seat: Seat) -> None:
    """On the page that is open: nobody is there to press Cancel, so the browser gives up as soon as it may."""
    seat.page.evaluate(
        """() => { for (const way of ["get", "create"]) {
            const real = navigator.credentials[way].bind(navigator.credentials);
            navigator.credentials[way] = (o) => real({ ...o, publicKey: { ...o.publicKey, timeout: 1 } });
        } }"""
    )


def test_dora_enrols_a_passkey_and_signs_in_with_nothing_else(world: World, seat: Seat) -> None:
    come_in(world, seat, "dora")
    no_suggestions(seat)
    seat.sign_out()
    page = seat.page
    page.goto("/account/passkeys")
    expect(page.locator("h1")).to_have_text("Sign in")
    seat.press("Sign in with a passkey")
    expect(page.locator("h1")).to_have_text("Passkeys and security keys")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("this device")
    seat.page.goto("/account")
    expect(page.locator("main")).to_contain_text("dora")


def test_a_passkey_is_suggested_where_the_name_goes(world: World, seat: Seat) -> None:
    """The browser answers what is asked with the page, without any button."""
    come_in(world, seat, "dolly")
    seat.sign_out()
    seat.page.goto("/sign-in?next=/account")
    expect(seat.page.locator("h1")).to_have_text("My account")


def test_dora_gives_her_password_and_then_her_passkey(world: World, seat: Seat) -> None:
    come_in(world, seat, "doris")
    no_suggestions(seat)
    seat.sign_out()
    give_password(seat, "doris")
    expect(seat.page.locator("h1")).to_have_text("Use your passkey")
    assert focused(seat.page) == "Use a passkey or security key"
    seat.press("Use a passkey or security key")
    seat.page.wait_for_url(world.product.url + "/")


def test_a_security_key_without_room_is_a_second_factor(world: World, seat: Seat) -> None:
    """Registered, named, used, renamed; alone it cannot say whose it is; removed, it is nothing."""
    laptop = come_in(world, seat, "dana")
    no_suggestions(seat)
    page = seat.page
    copied = seat.stolen(laptop)
    seat.unplug(laptop)
    seat.plug_in(SECURITY_KEY)
    page.goto("/account/passkeys")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("key ring")
    seat.press("Add a passkey")
    row = page.get_by_role("row").filter(has_text="key ring")
    expect(row).to_contain_text("security key")
    expect(row).to_contain_text("as second factor only")
    expect(row).to_contain_text("never")
    row.get_by_role("link", name="Rename").click()
    page.get_by_label("Name").fill("the blue one")
    seat.press("Save")
    expect(page.get_by_role("row").filter(has_text="the blue one")).to_be_visible()

    seat.sign_out()
    page.goto("/sign-in")
    impatient(seat)
    seat.press("Sign in with a passkey")
    expect(page.get_by_role("alert")).to_contain_text("No passkey was used", timeout=GIVES_UP)
    give_password(seat, "dana")
    seat.press("Use a passkey or security key")
    page.wait_for_url(world.product.url + "/")
    page.goto("/account/passkeys")
    expect(page.get_by_role("row").filter(has_text="the blue one")).not_to_contain_text("never")

    page.get_by_role("row").filter(has_text="the blue one").get_by_role("link", name="Remove").click()
    expect(page.locator("h1")).to_have_text("Remove the blue one?")
    seat.press("Remove")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("main")).to_contain_text("only second factor")
    expect(page.get_by_role("link", name="Remove")).to_have_count(0)
    seat.sign_out()
    give_password(seat, "dana")
    impatient(seat)
    seat.press("Use a passkey or security key")
    expect(page.get_by_role("alert")).to_contain_text("No passkey was used", timeout=GIVES_UP)
    seat.put(seat.plug_in(LAPTOP), copied)
    seat.press("Use a passkey or security key")
    page.wait_for_url(world.product.url + "/")


def test_confirming_with_a_passkey_leads_on(world: World, seat: Seat) -> None:
    come_in(world, seat, "daria")
    page = seat.page
    page.goto("/account/confirm?need=phishing-resistant&next=/account/recovery-codes")
    before = cookie_of(page.context)
    seat.press("Use a passkey or security key")
    expect(page.locator("h1")).to_have_text("Recovery codes")
    assert cookie_of(page.context) != before, "the token changes (S03)"


def cookie_of(context: BrowserContext) -> str:
    return next(cookie["value"] for cookie in context.cookies() if cookie["name"] == "__Host-postern")


def test_what_goes_wrong_is_said_and_can_be_tried_again(world: World, seat: Seat) -> None:
    laptop = come_in(world, seat, "delia")
    no_suggestions(seat)
    page = seat.page
    page.goto("/account/passkeys/add")
    # what browsers say of a key that is registered; Chromium's virtual one says nothing and waits
    refuse = "navigator.credentials.create = () => Promise.reject(new DOMException('', 'InvalidStateError'));"
    page.evaluate(f"() => {{ {refuse} }}")
    seat.press("Add a passkey")
    expect(page.get_by_role("alert")).to_contain_text("has a passkey of yours already")
    seat.sign_out()
    seat.verifies(laptop, False)
    page.goto("/sign-in")
    button = page.get_by_role("button", name="Sign in with a passkey")
    button.click()
    expect(page.get_by_role("alert")).to_contain_text("cancelled")
    expect(button).to_be_enabled()
    assert focused(page) == "Sign in with a passkey", "the focus is where it was"
    seat.verifies(laptop, True)
    page.keyboard.press("Enter")
    page.wait_for_url(world.product.url + "/")


def test_a_copied_key_is_found_out(world: World, seat: Seat) -> None:
    laptop = come_in(world, seat, "dinah")
    no_suggestions(seat)
    copied = seat.stolen(laptop)
    page = seat.page
    for _ in range(2):
        seat.sign_out()
        page.goto("/sign-in")
        seat.press("Sign in with a passkey")
        page.wait_for_url(world.product.url + "/")
    thief = world.seat()
    no_suggestions(thief)
    thief.put(thief.plug_in(LAPTOP), copied)
    thief.page.goto("/sign-in")
    thief.press("Sign in with a passkey")
    expect(thief.page.locator(".error-summary")).to_contain_text("not accepted here")
    thief.page.context.close()


def test_a_page_left_open_is_told_so(world: World, seat: Seat) -> None:
    """The second step was finished in another tab: this one leads on, and the key is asked for nothing."""
    come_in(world, seat, "dodo")
    no_suggestions(seat)
    seat.sign_out()
    give_password(seat, "dodo")
    expect(seat.page.locator("h1")).to_have_text("Use your passkey")
    other = seat.page.context.new_page()
    other.goto("/sign-in/second-factor")
    other.locator("footer").get_by_role("button").click()
    other.close()
    seat.press("Use a passkey or security key")
    expect(seat.page.locator("h1")).to_have_text("Sign in")


def test_a_passkey_by_keyboard_alone(world: World, seat: Seat) -> None:
    come_in(world, seat, "dixie")
    page = seat.page
    page.goto("/account/passkeys")
    go_to(page, f"Rename {page.locator('tbody th').inner_text()}")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Rename a passkey")
    go_to(page, "Name")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("work laptop")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="new name")).to_be_visible()
    page.goto("/account/confirm?next=/account/passkeys")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Passkeys and security keys")


def test_without_a_script_the_other_ways_stand(world: World) -> None:
    """A code of the authenticator app enrols and signs in; what needs a script is not there, and says why."""
    seat = world.seat(java_script_enabled=False)
    page = seat.page
    page.goto("/sign-in")
    expect(page.get_by_role("button", name="passkey")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("needs JavaScript")
    page.goto(world.invite("dotty"))
    seat.press("Go on as")
    page.get_by_label("New password").fill(PASSWORD)
    seat.press("Go on")
    expect(page.locator("main")).to_contain_text("Passkeys need JavaScript")
    expect(page.get_by_role("button", name="Set up a passkey")).to_have_count(0)
    expect(page.locator(".qr-image svg")).to_be_visible()
    page.context.close()


def test_a_browser_without_passkeys_is_told_so(world: World, seat: Seat) -> None:
    seat.page.add_init_script("delete window.PublicKeyCredential")
    seat.page.goto(world.invite("dulcie"))
    seat.press("Go on as")
    seat.page.get_by_label("New password").fill(PASSWORD)
    seat.press("Go on")
    expect(seat.page.get_by_text("cannot use passkeys here")).to_be_visible()
    expect(seat.page.get_by_role("button", name="Set up a passkey")).to_have_count(0)


Step = Callable[[Seat], None]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 900)], ids=["360px", "1280px"])
def test_every_page_about_passkeys_fits_every_screen(world: World, width: int, height: int, theme: str) -> None:
    seat = world.seat(width, height, color_scheme=theme)
    page = seat.page
    no_suggestions(seat)

    def fits(name: str, heading: str = "") -> None:
        """The page does that is open, or is about to be: the one with this heading."""
        if heading:
            expect(page.locator("h1")).to_have_text(re.compile(heading))
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{name} is too wide"
        assert page.locator("h1").count() == 1, name
        assert page.locator("main .button-primary:visible").count() <= 1, name
        assert too_small(page) == [], name
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / f"passkeys-{name}-{width}-{theme}.png", full_page=True)

    laptop = seat.plug_in(LAPTOP)
    page.goto("/sign-in")
    fits("sign-in")
    page.goto(world.invite(f"eve-{width}-{theme}"))
    fits("invite")
    seat.press("Go on as")
    page.get_by_label("New password").fill(PASSWORD)
    seat.press("Go on")
    fits("enrol", "Set up your second factor")
    seat.verifies(laptop, False)
    seat.press("Set up a passkey")
    expect(page.get_by_role("alert")).to_contain_text("cancelled")
    fits("enrol-cancelled")
    seat.verifies(laptop, True)
    seat.press("Set up a passkey")
    fits("recovery-codes", "Keep your recovery codes")
    seat.press("I have saved them")
    page.wait_for_url(world.product.url + "/")
    page.goto("/account/passkeys")
    fits("list-of-one")
    page.goto("/account/passkeys/add")
    fits("add")
    key = seat.plug_in(SECURITY_KEY)
    page.get_by_label("Name").fill("the security key that hangs on the key ring, a spare one")
    seat.press("Add a passkey")
    expect(page.locator("tbody tr")).to_have_count(2)
    fits("list-of-two")
    page.get_by_role("link", name=re.compile("Rename the security")).click()
    fits("rename", "Rename a passkey")
    page.goto("/account/passkeys")
    page.get_by_role("link", name=re.compile("Remove the security")).click()
    fits("remove", "Remove ")
    for name, query in (("account", "next=/account/passkeys"), ("step-up", "need=phishing-resistant&next=/")):
        page.goto(f"/account/confirm?{query}")
        fits(f"confirm-{name}")
    page.goto("/account/authenticator")
    fits("authenticator")
    page.goto("/account")
    fits("account")
    seat.unplug(key)
    seat.sign_out()
    give_password(seat, f"eve-{width}-{theme}")
    fits("second-factor", "Use your passkey")
    page.get_by_role("link", name="Use a recovery code instead").click()
    page.wait_for_url("**with=recovery-code**")
    fits("second-factor-recovery-code")
    page.context.close()


def test_the_ways_through_are_quick(world: World, seat: Seat) -> None:
    """From pressing the button to the page that follows: a person does not wait."""
    come_in(world, seat, "daphne")
    no_suggestions(seat)
    took = []
    for _ in range(3):
        seat.sign_out()
        seat.page.goto("/sign-in")
        began = time.monotonic()
        seat.press("Sign in with a passkey")
        seat.page.wait_for_url(world.product.url + "/")
        took.append(time.monotonic() - began)
    assert min(took) < 3.0, took
