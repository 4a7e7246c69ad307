"""The CLI against the whole product: signing in through a real browser, and a web app behind the real nginx."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, sync_playwright

from tests.real.cli_machine import Machine, machine
from tests.real.echo import Echo
from tests.real.product import Product
from tests.real.web_person import WebPerson

pytestmark = pytest.mark.real

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--no-first-run"]

POLICY = """\
kind: app
metadata:
  name: grafana
  labels: {{env: prod}}
spec:
  uri: http://127.0.0.1:{port}
---
kind: role
metadata: {{name: dashboards}}
spec:
  allow:
    app_labels: {{env: prod}}
    methods: [GET]
---
kind: role_binding
metadata: {{name: admin-dashboards}}
spec: {{role: dashboards, user: admin}}
"""


@dataclass
class World:
    """The product, an app, and the administrator with a machine, who may also read dashboards."""

    product: Product
    app: Echo
    admin: Machine
    person: WebPerson


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("cli-product")
    with Echo() as app, Product(directory / "data") as product:
        person = WebPerson(product.http(), product.url)
        person.come_in(product.invite_url)
        admin = machine(directory, "admin", product)
        admin.login(person)
        admin.ok("admin", "apply", "-f", "-", typed=POLICY.format(port=app.port))
        yield World(product, app, admin, person)


def test_app_curl_reaches_the_app_and_its_token_does_not(world: World) -> None:
    answer = world.admin.ok(
        "app", "curl", "grafana", "/api/health?x=%5B1%5D", "-sS", "--retry", "20", "--retry-all-errors", "-f"
    )
    assert "/api/health?x=%5B1%5D" in answer
    request = world.app.seen[-1]
    assert (request.method, request.target) == ("GET", "/api/health?x=%5B1%5D")
    assert request.get("X-Forwarded-User") == "admin"
    assert request.get("X-Postern-Assertion").count(".") == 2
    assert "ptn_" not in str(request.headers)


def test_what_the_role_does_not_name_is_refused_by_nginx(world: World) -> None:
    before = len(world.app.seen)
    ran = world.admin.postern("app", "curl", "grafana", "/", "-sS", "-X", "DELETE")
    assert json.loads(ran.stdout)["status"] == 403
    assert json.loads(ran.stdout)["reasons"][0]["reason"] == "method-not-allowed"
    assert world.admin.postern("app", "curl", "grafana", "/", "-sSf", "-X", "DELETE").returncode == 22
    assert len(world.app.seen) == before


def test_an_app_that_is_not_there_and_one_that_is_not_hers_sound_the_same(world: World) -> None:
    ran = world.admin.postern("app", "token", "nothing")
    assert ran.returncode in (1, 4)
    assert ran.stdout == ""


def test_a_token_is_dead_the_moment_its_role_is_gone(world: World) -> None:
    token = world.admin.ok("app", "token", "grafana").strip()
    headers = {"Authorization": f"Bearer {token}"}
    with world.product.http(headers=headers) as client:
        url = f"http://grafana.postern.localhost:{world.product.port}/"
        assert client.get(url).status_code == 200
        world.admin.ok("admin", "rm", "role/dashboards", "--yes")
        until_refused = [client.get(url).status_code for _ in range(200)]
        assert until_refused[-1] in (401, 403)
    assert world.admin.postern("app", "token", "grafana").returncode in (1, 4)
    world.admin.ok("admin", "apply", "-f", "-", typed=POLICY.format(port=world.app.port))


@pytest.fixture
def chromium(world: World) -> Iterator[BrowserContext]:
    """A browser in which the administrator is signed in already."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = browser.new_context()
        for cookie in world.person.browser.cookies.jar:
            place = {"domain": "postern.localhost", "path": "/", "secure": True, "httpOnly": True}
            if cookie.domain.startswith("postern.localhost"):
                context.add_cookies([{"name": cookie.name, "value": cookie.value or "", **place}])  # type: ignore[typeddict-item]
        yield context
        browser.close()


def started_login(admin: Machine) -> tuple[subprocess.Popen[str], str]:
    """`postern login`, waiting for its browser; and where that is to go."""
    process = subprocess.Popen(
        [sys.executable, "-m", "postern", "login", admin.broker.url],
        text=True,
        env={**admin.environ, "BROWSER": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    return process, next(line.strip() for line in process.stderr if "/oauth/authorize?" in line)


def test_signing_in_through_a_real_browser(world: World, chromium: BrowserContext, tmp_path: Path) -> None:
    """The page's own policy (CSP form-action) must let the browser go back to the CLI's listener."""
    mine = machine(tmp_path, "second", world.product)
    process, address = started_login(mine)
    page = chromium.new_page()
    page.goto(address)
    assert page.get_by_role("heading").first.inner_text() == "Sign in a terminal?"
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("You can close this tab").wait_for()
    assert page.url.startswith("http://127.0.0.1:")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Logged in as:       admin" in out
    assert json.loads(mine.ok("status", "-o", "json"))["user"] == "admin"


def test_refusing_in_the_browser_ends_the_login_with_denied(
    world: World, chromium: BrowserContext, tmp_path: Path
) -> None:
    mine = machine(tmp_path, "third", world.product)
    process, address = started_login(mine)
    page = chromium.new_page()
    page.goto(address)
    page.get_by_role("button", name="Refuse").click()
    page.get_by_text("The sign-in was refused").wait_for()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    assert mine.postern("status").returncode == 3
