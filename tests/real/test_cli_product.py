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
from postern.state import Home
from postern.token_key import TokenKey

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


def copied(world: World, directory: Path, *names: str) -> Machine:
    """Another machine with some of the administrator's files on it."""
    thief = machine(directory, "a thief", world.product)
    for name in names:
        target = state_of(thief).path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((state_of(world.admin).path / name).read_bytes())
    return thief


def state_of(person: Machine) -> Home:
    """Where the CLI keeps its files on a machine."""
    return Home(person.home / ".local" / "state" / "postern")


def test_a_copied_session_file_alone_is_worth_nothing(world: World, tmp_path: Path) -> None:
    """With it are the SSH key and the rest: everything but the key that the token is bound to."""
    names = ("session.json", "keys/id_ed25519", "keys/id_ed25519.pub", "known_hosts", "url")
    thief = copied(world, tmp_path, *names)
    ran = thief.postern("status")
    assert ran.returncode == 3
    assert "the key of this sign-in is missing" in ran.stderr
    TokenKey.new().save(state_of(thief))
    for command in (("status",), ("ls",), ("app", "token", "grafana"), ("admin", "get", "user")):
        ran = thief.postern(*command)
        assert (ran.returncode, ran.stdout) == (3, ""), command
    world.admin.ok("status")


def test_a_proof_overheard_on_the_wire_is_used_up(world: World) -> None:
    """Against the whole product: nginx in front, Valkey behind, and no other scheme for the token."""
    home = state_of(world.admin)
    session, url = home.session(), world.product.url
    assert session is not None
    proof = TokenKey.load(home).proof("GET", f"{url}/api/v1/status", session.token)
    credentials = {"Authorization": f"DPoP {session.token}", "DPoP": proof}
    with world.product.http() as http:
        assert http.get("/api/v1/ssh", headers=credentials).status_code == 401
        assert http.get("/api/v1/status", headers=credentials).status_code == 200
        again = http.get("/api/v1/status", headers=credentials)
        assert (again.status_code, again.json()["detail"]) == (401, "nobody is signed in")
        bearer = http.get("/api/v1/status", headers={"Authorization": f"Bearer {session.token}"})
        assert bearer.status_code == 401
        assert bearer.headers["WWW-Authenticate"] == 'DPoP algs="ES256", error="invalid_token"'


def test_sign_ins_are_seen_and_ended_from_the_command_line(world: World, tmp_path: Path) -> None:
    second = machine(tmp_path, "second laptop", world.product)
    second.login(world.person)
    items = json.loads(world.admin.ok("sessions", "ls", "-o", "json"))
    mine = json.loads(second.ok("status", "-o", "json"))["session"]
    assert mine["key_thumbprint"] == TokenKey.load(state_of(second)).thumbprint
    assert [item["kind"] for item in items if item["id"] == mine["id"]] == ["cli"]
    assert world.admin.postern("sessions", "end", mine["id"][:8]).returncode == 2
    assert world.admin.ok("sessions", "end", mine["id"][:8], "--yes") == "ended 1 session\n"
    assert second.postern("status").returncode == 3
    world.admin.ok("status")


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
