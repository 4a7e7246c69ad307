"""The whole product with a certified OpenID Provider: PKCE, both ways to the second factor, logout from both sides.

`OIDC_PICTURES=DIR` keeps pictures of the pages.
"""

from __future__ import annotations

import html
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.real.cli_machine import Machine, machine
from tests.real.echo import Echo
from tests.real.openid_provider import CLIENT_SECRET, PEOPLE, OpenIDProvider
from tests.real.product import Product
from tests.real.web_person import WebPerson

pytestmark = pytest.mark.real

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--no-first-run"]
PICTURES = os.environ.get("OIDC_PICTURES", "")
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
WITHIN = 5.0
"""Seconds; the bench measures tens of milliseconds, this is for a busy machine."""

POLICY = """\
kind: group
metadata: {{name: engineers}}
---
kind: app
metadata: {{name: wiki, labels: {{env: dev}}}}
spec: {{uri: '{app}'}}
---
kind: role
metadata: {{name: engineer}}
spec: {{allow: {{app_labels: {{env: dev}}}}}}
---
kind: role_binding
metadata: {{name: engineers}}
spec: {{role: engineer, group: engineers}}
---
kind: role_binding
metadata: {{name: admin-audits}}
spec: {{role: auditor, user: admin}}
"""


@dataclass
class World:
    product: Product
    op: OpenIDProvider
    admin: Machine
    boss: WebPerson
    at: Path

    def connect(self, **spec: Any) -> None:
        """The connector from now on."""
        self.admin.ok("admin", "apply", "-f", "-", typed=json.dumps(self.op.document(**spec)))

    def events(self, kind: str) -> list[dict[str, Any]]:
        found = json.loads(self.admin.ok("admin", "events", "--type", kind, "--limit", "50", "-o", "json"))
        items: list[dict[str, Any]] = found["items"] if isinstance(found, dict) else found
        return items


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    at = tmp_path_factory.mktemp("oidc-product")
    with Echo() as app, Product(at / "data") as product, OpenIDProvider(at, product.url) as op:
        boss = WebPerson(product.http(), product.url)
        boss.come_in(product.invite_url)
        admin = machine(at, "admin", product)
        admin.login(boss)
        admin.ok("admin", "apply", "-f", "-", typed=POLICY.format(app=app.uri))
        yield World(product, op, admin, boss, at)


class ProviderPerson(WebPerson):
    """Somebody with an account at the provider; `there` is what their browser keeps for it."""

    def __init__(self, world: World) -> None:
        super().__init__(world.product.http(), world.product.url)
        self.there = httpx2.Client(timeout=30)
        self.world = world

    def go(self, next: str = "/") -> str:
        """Press the button on the sign-in page; where that leads."""
        page = self.browser.get(f"/sign-in?next={next}")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, page.text
        headers = {"Origin": self.base, "Referer": f"{self.base}/"}
        data = {"csrfmiddlewaretoken": token[1], "next": next}
        going = self.browser.post("/oidc/corp/sign-in", data=data, headers=headers)
        found = re.search(r'content="0; url=([^"]+)"', going.text)
        assert found, going.text
        return html.unescape(found[1])

    def give_in(self, url: str, name: str, amr: str = "") -> str:
        """Sign in there, if it asks; the address it sends the browser back to."""
        answer = self.there.get(url)
        while True:
            where = urljoin(str(answer.url), answer.headers.get("Location", ""))
            if where.startswith(self.base):
                return where
            assert answer.status_code in (200, 302, 303), answer.text
            if answer.status_code == 200:
                answer = self.there.post(answer.url, data={"login": name, "amr": amr})
            else:
                answer = self.there.get(where)

    def back(self, where: str) -> httpx2.Response:
        """Come back from there."""
        parts = urlsplit(where)
        return self.browser.get(f"{parts.path}?{parts.query}")

    def arrive(self, name: str, amr: str = "", next: str = "/") -> str:
        """The whole way; where one stands then."""
        answer = self.back(self.give_in(self.go(next), name, amr))
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def is_in(self) -> bool:
        return self.browser.get("/account").status_code == 200

    def open(self) -> int:
        """What the app answers in this browser."""
        address = f"http://wiki.postern.localhost:{self.world.product.port}/page"
        answer = self.browser.get(address, headers=NAVIGATION, follow_redirects=True)
        return answer.status_code if answer.url.host.startswith("wiki.") or answer.status_code == 403 else 401

    def leave_there(self) -> None:
        """Sign out at the provider, by its own page."""
        page = self.there.get(f"{self.world.op.issuer}/session/end")
        token = re.search(r'name="xsrf" value="([^"]+)"', page.text)
        assert token, page.text
        self.there.post(f"{self.world.op.issuer}/session/end/confirm", data={"xsrf": token[1], "logout": "yes"})


def until(condition: object) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def test_nobody_is_made_unless_the_connector_says_so(world: World) -> None:
    world.connect()
    bob = ProviderPerson(world)
    answer = bob.back(bob.give_in(bob.go(), "bob"))
    assert answer.status_code == 403
    assert "not-linked" in answer.text
    assert not bob.is_in()


def test_who_says_no_there_is_not_in_here(world: World) -> None:
    world.connect(create_users=True)
    somebody = ProviderPerson(world)
    answer = somebody.back(somebody.give_in(somebody.go(), "nobody"))
    assert answer.status_code == 403
    assert "provider-refused" in answer.text


def test_a_callback_stolen_on_its_way_is_worth_nothing(world: World) -> None:
    """L07, L10: in another browser; and the provider's code is used up with it for nobody's good."""
    world.connect(create_users=True, second_factor={"amr": ["mfa"]})
    alice, thief = ProviderPerson(world), ProviderPerson(world)
    where = alice.give_in(alice.go(), "alice", "mfa")
    thief.go()
    assert "other-browser" in thief.back(where).text
    assert not thief.is_in()
    assert "unknown-state" in alice.back(where).text
    sent = parse_qs(urlsplit(where).query)
    token = thief.there.post(
        f"{world.op.issuer}/token",
        data={"grant_type": "authorization_code", "code": sent["code"][0], "redirect_uri": where.partition("?")[0]},
        auth=("postern", "a+secret+%2B+of%2Fthe+tests"),
    )
    assert token.json()["error"] == "invalid_grant", "PKCE"


def test_alice_comes_in_with_our_second_factor_and_leaves_from_there(world: World) -> None:
    """S10, back-channel logout: app, browser and CLI are cut by what she does at the provider."""
    world.connect(create_users={"groups": ["engineers"]})
    alice = ProviderPerson(world)
    step = alice.arrive("alice")
    assert step == "/sign-in/enrol"
    assert not alice.is_in()
    alice.enrol(step)
    assert alice.is_in()
    assert alice.open() == 200
    theirs = machine(world.at, "alice", world.product)
    theirs.login(alice)
    assert theirs.postern("status").returncode == 0
    alice.leave_there()
    world.op.wait_for_line("backchannel.success")
    until(lambda: not alice.is_in())
    until(lambda: alice.open() != 200)
    until(lambda: theirs.postern("status").returncode != 0)
    assert world.events("connector.logout")[0]["data"]["sessions"] == 2


def test_another_session_there_is_another_session_here(world: World) -> None:
    world.connect(create_users=True, second_factor={"amr": ["mfa"]})
    one, other = ProviderPerson(world), ProviderPerson(world)
    for person in (one, other):
        assert person.arrive("alice", "pwd mfa") == "/"
        assert person.is_in()
    one.leave_there()
    until(lambda: not one.is_in())
    assert other.is_in()
    other.leave_there()
    until(lambda: not other.is_in())


def test_groups_follow_what_the_provider_says(world: World) -> None:
    """S11: with the next sign-in."""
    world.connect(create_users=True, second_factor={"amr": ["mfa"]})
    alice = ProviderPerson(world)
    alice.arrive("alice", "mfa")
    assert alice.open() == 200
    world.op.keep({**PEOPLE, "alice": {**PEOPLE["alice"], "groups": ["staff"]}})
    again = ProviderPerson(world)
    again.arrive("alice", "mfa")
    assert again.open() == 403
    until(lambda: alice.open() == 403)
    world.op.keep(PEOPLE)


def test_an_acr_that_counts_is_asked_for(world: World) -> None:
    world.connect(create_users=True, acr_values=["gold"], second_factor={"acr": ["gold"]})
    assert "acr_values=gold" in ProviderPerson(world).go()


def test_userinfo_is_asked_where_the_id_token_says_little(world: World, tmp_path: Path) -> None:
    with OpenIDProvider(tmp_path, world.product.url, "second", userinfo=True) as op:
        spec = {"create_users": True, "username": "{{external.preferred_username}}-2"}
        world.admin.ok("admin", "apply", "-f", "-", typed=json.dumps(op.document("second", **spec)))
        person = ProviderPerson(world)
        page = person.browser.get("/sign-in")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token
        headers = {"Origin": person.base, "Referer": f"{person.base}/"}
        going = person.browser.post("/oidc/second/sign-in", data={"csrfmiddlewaretoken": token[1]}, headers=headers)
        found = re.search(r'content="0; url=([^"]+)"', going.text)
        assert found
        answer = person.back(person.give_in(html.unescape(found[1]), "bob"))
        assert answer.headers["Location"] == "/sign-in/enrol"
    assert "bob-2" in world.admin.ok("admin", "users", "ls")


def test_the_provider_is_down_and_comes_back(world: World) -> None:
    """L28: who has a password here comes in; nobody comes in any weaker way."""
    world.connect(create_users=True, second_factor={"amr": ["mfa"]})
    alice = ProviderPerson(world)
    where = alice.give_in(alice.go(), "alice", "mfa")
    world.op.stop()
    answer = alice.back(where)
    assert answer.status_code == 503
    assert "refused the connection" in html.unescape(answer.text)
    assert not alice.is_in()
    boss = WebPerson(world.product.http(), world.product.url)
    step = boss._send("/sign-in", {"username": "admin", "password": world.boss.password})
    assert step == "/sign-in/second-factor"
    world.op.start()
    until(lambda: ProviderPerson(world).arrive("alice", "mfa") == "/")
    kinds = [event["type"] for event in world.events("connector.*")]
    assert "connector.failed" in kinds
    assert "connector.recovered" in kinds


def test_no_secret_is_told(world: World) -> None:
    """S15: neither codes nor states nor tokens nor the client's secret in logs, events or nginx's access log."""
    events = world.admin.ok("admin", "events", "--limit", "200", "-o", "json")
    access = (world.product.data_dir / "log" / "access.log").read_text()
    assert "/oidc/corp/callback" in access
    for text in (events, access, world.product.output, world.admin.ok("admin", "get", "oidc/corp")):
        assert CLIENT_SECRET not in text
        assert "code=" not in text
        assert "state=" not in text
        assert "eyJ" not in text


# --- in Chromium ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


def picture(page: Page, name: str) -> None:
    if not PICTURES:
        return
    for width in (360, 1280):
        for theme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=theme)
            page.screenshot(path=f"{PICTURES}/{name}-{width}-{theme}.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 800})


def sign_in(page: Page, world: World, name: str, amr: str) -> None:
    page.goto(f"{world.product.url}/sign-in?next=/account")
    picture(page, "sign-in")
    page.get_by_role("button", name="Sign in with corp").click()
    page.locator('input[name="login"]').fill(name)
    page.locator('input[name="amr"]').fill(amr)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("script", [True, False])
def test_a_browser_goes_there_and_back_and_signs_out_at_both(world: World, chromium: Browser, script: bool) -> None:
    """L03: with JavaScript and without; the policy complains of nothing, and no address of ours holds a token."""
    world.connect(create_users=True, second_factor={"amr": ["mfa"]})
    context = chromium.new_context(java_script_enabled=script)
    heard: list[str] = []
    seen: list[str] = []
    context.on("console", lambda message: heard.append(message.text))
    context.on("request", lambda request: seen.append(request.url))
    page = context.new_page()
    sign_in(page, world, "alice", "mfa")
    expect(page.get_by_role("heading", name="My account")).to_be_visible()
    assert page.url == f"{world.product.url}/account"
    page.goto(f"{world.product.url}/account")
    picture(page, "account")
    page.locator(".rail details.me summary").click()
    page.locator('.rail form[action="/sign-out"] button').click()
    expect(page).to_have_url(re.compile(rf"^{re.escape(world.op.issuer)}/session/end"))
    page.get_by_role("button", name=re.compile("yes", re.IGNORECASE)).click()
    expect(page).to_have_url(f"{world.product.url}/sign-in")
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    assert [text for text in heard if "Content Security Policy" in text or "Refused" in text] == []
    assert [url for url in seen if "eyJ" in url and not url.startswith(world.op.issuer)] == []
    page.get_by_role("button", name="Sign in with corp").click()
    expect(page.locator('input[name="login"]')).to_be_visible()  # signed out there as well
    context.close()


def test_what_is_refused_is_said_in_words(world: World, chromium: Browser) -> None:
    world.connect(create_users={"groups": ["engineers"]})
    page = chromium.new_context().new_page()
    sign_in(page, world, "bob", "")
    expect(page.get_by_role("heading", name="That did not work")).to_be_visible()
    expect(page.get_by_text("your account there is not one that is let in here")).to_be_visible()
    picture(page, "refused")
    page.get_by_role("link", name="Back to sign-in").click()
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()


def test_alice_confirms_at_the_provider_and_must_sign_in_anew_for_it(world: World, chromium: Browser) -> None:
    """prompt=login and max_age=0, as a real provider answers them."""
    world.connect(create_users=True, second_factor={"amr": ["mfa"]})
    page = chromium.new_context().new_page()
    sign_in(page, world, "alice", "mfa")
    expect(page.get_by_role("heading", name="My account")).to_be_visible()
    page.goto(f"{world.product.url}/account/confirm?next=/account/recovery-codes")
    picture(page, "confirm")
    page.get_by_role("button", name="Confirm with corp").click()
    page.locator('input[name="login"]').fill("alice")
    page.locator('input[name="amr"]').fill("mfa")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{world.product.url}/account/recovery-codes")
    confirmed = world.events("login_session.confirmed")
    assert confirmed[0]["actor"]["name"] == "alice"


def test_an_administrator_tries_a_provider_before_it_is_switched_on(world: World, chromium: Browser) -> None:
    """From the console, to the provider and back: what it said, what the rules made of it, and nobody signed in."""
    world.connect(enabled=False, create_users={"groups": ["engineers"]}, display="Corporate")
    context = chromium.new_context()
    kept = next(cookie for cookie in world.boss.browser.cookies.jar if cookie.name == "__Host-postern")
    place = {"domain": "postern.localhost", "path": "/", "secure": True, "httpOnly": True}
    context.add_cookies([{"name": kept.name, "value": kept.value or "", **place}])  # type: ignore[typeddict-item]
    page = context.new_page()
    page.goto(f"{world.product.url}/console/connectors/corp")
    picture(page, "connector")
    page.get_by_role("button", name="Test sign-in").click()
    page.locator('input[name="login"]').fill("bob")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="This would be refused")).to_be_visible()
    expect(page.get_by_text("not-among-created")).to_be_visible()
    expect(page.get_by_text("bob@example.com (verified)")).to_be_visible()
    picture(page, "test-refused")
    assert "eyJ" not in page.content()
    page.locator("a.back").click()
    expect(page).to_have_url(f"{world.product.url}/console/connectors/corp")
    outcomes = [event["data"]["outcome"] for event in world.events("connector.tested")]
    assert outcomes == ["not-among-created"]
