"""The console in Chromium: on every screen and by keyboard alone, under the policy that lets nothing foreign run.

`CONSOLE_PICTURES=DIR` keeps a picture of every page, screen and theme, to look at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.real.product import Product
from tests.real.web_person import WebPerson

pytestmark = pytest.mark.real

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--no-first-run"]
PICTURES = os.environ.get("CONSOLE_PICTURES", "")
SCREENS = [(360, 740), (1280, 900), (2560, 1440)]
TABS = 120
"""After so many steps of the Tab key something on a page counts as out of reach."""

ROLE = """\
kind: role
metadata:
  name: engineer
  description: opens what is in development
spec:
  allow:
    logins: [root, deploy]
    server_labels: {env: dev}
    app_labels: {env: dev}
"""
PAGES = [
    "/",
    "/search?q=admin",
    "/console/users",
    "/console/users?q=nothing+matches",
    "/console/users/new",
    "/console/users/admin",
    "/console/users/dora",
    "/console/users/dora/edit",
    "/console/users/dora/disable",
    "/console/users/dora/roles/new",
    "/console/groups",
    "/console/groups/crew",
    "/console/roles",
    "/console/roles/engineer",
    "/console/roles/engineer/edit",
    "/console/roles/engineer/delete",
    "/console/apps",
    "/console/apps/grafana",
    "/console/servers",
    "/console/servers/a-server-with-a-rather-long-name-in-frankfurt",
    "/console/servers/a-server-with-a-rather-long-name-in-frankfurt/enroll",
    "/console/locks",
    "/console/locks/new",
    "/console/events",
    "/console/sessions",
    "/console/login-sessions",
    "/console/why?user=dora&action=ssh.session&resource=a-server-with-a-rather-long-name-in-frankfurt&login=root",
]


@dataclass
class World:
    """The product, a browser, and what made the browser complain."""

    product: Product
    chromium: Browser
    cookie: str
    complaints: list[str] = field(default_factory=list)

    def context(self, width: int = 1280, height: int = 900, **how: object) -> BrowserContext:
        """A window in which the administrator is signed in."""
        context = self.chromium.new_context(
            viewport={"width": width, "height": height},
            base_url=self.product.url,
            **how,  # type: ignore[arg-type]
        )
        place = {"domain": "postern.localhost", "path": "/", "secure": True, "httpOnly": True}
        context.add_cookies([{"name": "__Host-postern", "value": self.cookie, **place}])  # type: ignore[typeddict-item]
        context.on("console", self._heard)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        return context

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.page.url if message.page else ''}: {message.text}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A fresh installation; its administrator came in by the printed link and filled the console's forms."""
    with Product(tmp_path_factory.mktemp("console") / "data") as product, sync_playwright() as playwright:
        person = WebPerson(product.http(), product.url)
        person.come_in(product.invite_url)
        cookie = next(c.value for c in person.browser.cookies.jar if c.name == "__Host-postern")
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        world = World(product, chromium, cookie or "")
        fill(world.context().new_page())
        yield world
        chromium.close()


@pytest.fixture(autouse=True)
def _nothing_is_complained_about(world: World) -> Iterator[None]:
    """Every test: no script failed and no policy was violated."""
    world.complaints.clear()
    yield
    assert world.complaints == []


def fill(page: Page) -> None:
    """Make what there is to look at, through the forms."""

    def send(path: str, button: str, **fields: str) -> None:
        page.goto(path)
        for name, text in fields.items():
            control = page.locator(f"main [name={name}]")
            if control.evaluate("e => e.tagName") == "SELECT":
                control.select_option(text)
            else:
                control.fill(text)
        page.locator("main").get_by_role("button", name=button).click()
        page.wait_for_load_state()
        assert page.locator(".error-summary").count() == 0, page.locator("main").inner_text()

    long = "a-server-with-a-rather-long-name-in-frankfurt"
    send("/console/groups/new", "Create", name="crew", description="who is on call this week")
    send("/console/users/new", "Add and make the link", name="dora", full_name="Dora Diaz", groups="crew")
    send("/console/roles/new", "Create", text=ROLE)
    send("/console/apps/new", "Add the app", name="grafana", uri="http://127.0.0.1:9", labels="env: dev")
    send("/console/servers/new", "Add the server", name=long, addr="127.0.0.1:22", labels="env: dev\nsite: frankfurt")
    send("/console/users/admin/roles/new", "Give the role", role="engineer", until="7d", reason="to look around")
    send("/console/users/admin/roles/new", "Give the role", role="auditor")
    send("/console/groups/crew/roles/new", "Give the role", role="engineer")
    send("/console/locks/new", "Show what it cuts", kind="login", target="backup", reason="key found in a public place")
    page.get_by_role("button", name="Lock backup").click()
    expect(page.get_by_role("status").filter(has_text="login backup is locked")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SCREENS, ids=[f"{width}px" for width, _ in SCREENS])
def test_every_page_fits_every_screen(world: World, width: int, height: int, theme: str) -> None:
    context = world.context(width, height, color_scheme=theme)
    page = context.new_page()
    for path in PAGES:
        response = page.goto(path)
        assert response, path
        assert response.status == 200, path
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (
            f"{path} is wider than the screen"
        )
        assert page.locator("h1").count() == 1, path
        assert page.locator("h1").inner_text().strip(), path
        assert too_small(page) == [], path
        if PICTURES:
            name = re.sub(r"\W+", "-", path).strip("-") or "home"
            page.screenshot(path=Path(PICTURES) / f"{name}-{width}-{theme}.png", full_page=True)
    context.close()


def too_small(page: Page) -> list[str]:
    """Buttons and links outside of text that are less than 24 pixels in height or width (WCAG 2.2, 2.5.8)."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('main button, main .button, main select, main summary')]
            .filter((e) => e.getClientRects().length && !e.closest('.visually-hidden'))
            .filter((e) => { const b = e.getBoundingClientRect(); return b.height < 23.5 || b.width < 23.5; })
            .map((e) => e.outerHTML.slice(0, 120))"""
    )
    return found


def test_a_group_is_made_filled_and_deleted_by_keyboard_alone(world: World) -> None:
    page = world.context().new_page()
    page.goto("/console/groups")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the page"
    go_to(page, "New group")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("New group")
    go_to(page, "Name")
    page.keyboard.type("night-shift")
    go_to(page, "Create")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("night-shift")
    go_to(page, "Add")
    page.keyboard.type("dora")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="dora", exact=True)).to_be_visible()
    go_to(page, "Delete")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Delete night-shift?")
    expect(page.get_by_text("takes 1 member out of it")).to_be_visible()
    go_to(page, "Delete night-shift")
    page.keyboard.press("Enter")
    expect(page.get_by_text("night-shift was deleted")).to_be_visible()
    page.context.close()


def go_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on something called `name`; it must be seen to have the focus."""
    for _ in range(TABS):
        page.keyboard.press("Tab")
        if focused(page) == name and page.evaluate("!!document.activeElement.closest('main')"):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"{name} does not show that it has the focus"
            return
    raise AssertionError(f"{name!r} is out of the keyboard's reach on {page.url}")


def focused(page: Page) -> str:
    """What has the focus, by its label or its words."""
    found: str = page.evaluate(
        "() => { const e = document.activeElement; return ((e.labels && e.labels[0] || e).textContent || '').trim(); }"
    )
    return found.replace(" (optional)", "")


def test_slash_leads_to_the_search_and_escape_closes_a_menu(world: World) -> None:
    page = world.context().new_page()
    page.goto("/console/roles")
    page.keyboard.press("/")
    page.keyboard.type("grafana")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Search")
    expect(page.locator("main").get_by_role("link", name="grafana").first).to_be_visible()
    page.locator(".me > summary").click()
    expect(page.get_by_role("button", name="Sign out").last).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".me")).not_to_have_attribute("open", "")
    page.context.close()


def test_a_list_narrows_while_typing_and_keeps_its_state_in_the_address(world: World) -> None:
    page = world.context().new_page()
    page.goto("/console/users")
    page.evaluate("window.stayed = true")
    page.locator("#filter-q").fill("dora")
    page.wait_for_url("**/console/users?q=dora")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert page.evaluate("window.stayed"), "the page was loaded anew"
    page.reload()
    expect(page.locator("#filter-q")).to_have_value("dora")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.context.close()


def test_lists_and_forms_work_without_a_script(world: World) -> None:
    page = world.context(java_script_enabled=False).new_page()
    page.goto("/console/users")
    page.locator("#filter-q").fill("dora")
    page.locator("main").get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="dora").click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("E-mail").fill("dora@example.com")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("dora was changed")).to_be_visible()
    page.context.close()


def test_another_login_changes_the_command_that_is_copied(world: World) -> None:
    context = world.context()
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=world.product.url)
    page = context.new_page()
    page.goto("/?q=frankfurt")
    row = page.locator(".server").first
    row.get_by_role("combobox").select_option("root")
    row.get_by_role("button", name="Copy").click()
    expect(row.get_by_text("Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "ssh root@a-server-with-a-rather-long-name-in-frankfurt.postern"
    context.close()


def test_an_event_opens_in_the_list_without_leaving_it(world: World) -> None:
    page = world.context().new_page()
    page.goto("/console/events?type=lock.created")
    entry = page.locator(".log details").first
    entry.locator("summary").press("Enter")
    expect(entry.get_by_text("key found in a public place").last).to_be_visible()
    expect(entry.get_by_role("button", name="Copy the request id")).to_be_visible()
    page.context.close()
