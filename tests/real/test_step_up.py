"""Step-up as people meet it: the whole product, nginx, Chromium, the CLI at a terminal, ssh to a real sshd."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from django_otp.oath import hotp
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.real.cli_machine import Machine, machine
from tests.real.echo import Echo
from tests.real.nginx import wait_for
from tests.real.product import Product
from tests.real.sshd import ME, Sshd
from tests.real.typist import Typist
from tests.real.web_person import WebPerson

pytestmark = pytest.mark.real

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--no-first-run"]
OWN = "mfa_per_session: true"

POLICY = """\
kind: app
metadata: {{name: grafana, labels: {{env: prod}}}}
spec: {{uri: 'http://127.0.0.1:{app}', {demand}}}
---
kind: server
metadata: {{name: db-1, labels: {{env: prod}}}}
spec: {{addr: '127.0.0.1:{ssh}', {demand}}}
---
kind: role
metadata: {{name: operator}}
spec:
  allow:
    app_labels: {{env: prod}}
    server_labels: {{env: prod}}
    logins: [{login}]
---
{{kind: role_binding, spec: {{role: operator, user: admin}}}}
"""
FORM = b'<title>form</title><form method="post" action="/submit"><input name="text"><button>Send</button></form>'


@dataclass
class World:
    """The product, an app and a server behind it, and the administrator with a browser and a machine."""

    product: Product
    app: Echo
    server: Sshd
    admin: Machine
    person: WebPerson
    recovery: list[str]
    used_step: int = field(default_factory=lambda: int(time.time()) // 30)

    def demand(self, text: str) -> None:
        """Write what app and server demand."""
        policy = POLICY.format(app=self.app.port, ssh=self.server.port, login=ME, demand=text)
        self.admin.ok("admin", "apply", "-f", "-", typed=policy)

    def code(self) -> str:
        """A code of the authenticator app that was not used yet: of this half minute or the next."""
        wait_for(lambda: int(time.time()) // 30 >= self.used_step, "the clock stands still", within=40)
        self.used_step = max(self.used_step + 1, int(time.time()) // 30)
        return f"{hotp(self.person.seed, self.used_step):06d}"

    def url(self, path: str) -> str:
        """An address in the app."""
        return f"http://grafana.postern.localhost:{self.product.port}{path}"

    def reached(self, path: str) -> int:
        """How many requests for a path came to the app."""
        return sum(seen.target.partition("?")[0] == path for seen in self.app.seen)

    def typist(self, *arguments: str) -> Typist:
        """`postern` at a terminal."""
        return Typist([sys.executable, "-m", "postern", *arguments], {**self.admin.environ, "TERM": "xterm"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("step-up")
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(FORM), FORM)
    with Echo(answers={"/form": page}) as app, Product(directory / "data") as product:
        person = WebPerson(product.http(), product.url)
        person.come_in(product.invite_url)
        admin = machine(directory, "admin", product)
        admin.login(person)
        with Sshd(directory, "db-1", user_ca=_user_ca(product)) as server:
            world = World(product, app, server, admin, person, _recovery_codes(product))
            world.demand("")
            _enrol(world)
            admin.ok("ssh-config", "--install", "--yes")
            yield world


def _shell(product: Product, code: str) -> str:
    return product.manage("shell", "-v0", "-c", code).strip()


def _user_ca(product: Product) -> str:
    code = "from broker.services import authorities; from broker.ca.profile import CertificateKind as K; "
    return _shell(product, code + "print(authorities.trusted_lines(K.USER)[0])")


def _recovery_codes(product: Product) -> list[str]:
    """Ten of them: a code of the app can be used every half minute only."""
    code = "from accounts.authenticators.recovery import new_codes; from accounts.models import User; "
    code += "from django.db import transaction\nwith transaction.atomic(): print(*new_codes(User.objects.get()))"
    return _shell(product, code).split()


def _enrol(world: World) -> None:
    server = world.server
    script = world.admin.ok("admin", "servers", "enroll", "db-1", "--host-key", str(server.directory / "host_key.pub"))
    found = re.search(r"<<'CERTIFICATE'\n(.+)\nCERTIFICATE", script)
    assert found, script
    (server.directory / "host_key-cert.pub").write_text(found[1] + "\n")
    server.stop()
    config = server.directory / "sshd_config"
    config.write_text(config.read_text() + f"HostCertificate {server.directory}/host_key-cert.pub\n")
    assert server._run()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def context(world: World, chromium: Browser) -> Iterator[BrowserContext]:
    """A browser in which the administrator is signed in; what it is given in exchange the person takes back."""
    context = chromium.new_context()
    for cookie in world.person.browser.cookies.jar:
        if cookie.domain.startswith("postern.localhost"):
            place = {"domain": "postern.localhost", "path": "/", "secure": True, "httpOnly": True}
            context.add_cookies([{"name": cookie.name, "value": cookie.value or "", **place}])  # type: ignore[typeddict-item]
    yield context
    for kept in context.cookies(world.product.url):
        for cookie in world.person.browser.cookies.jar:
            if cookie.name == kept.get("name"):
                cookie.value = kept.get("value")
    context.close()


def give_code(page: Page, world: World) -> None:
    """On the page that asks for a second factor; the form goes off with the last digit."""
    page.wait_for_url("**/account/confirm?**")
    page.get_by_role("textbox").first.fill(world.code())


def test_a_page_asks_and_leads_where_the_person_was_going(world: World, context: BrowserContext) -> None:
    """M22: the first session takes what was given at sign-in, the next one asks; none goes round in circles."""
    world.demand(OWN)
    page = context.new_page()
    page.goto(world.url("/report?x=1&y=a%20b"))
    if "/account/confirm" in page.url:  # more than five minutes since the sign-in: the machine is slow
        give_code(page, world)
    page.wait_for_url(world.url("/report?x=1&y=a%20b"))
    before = world.reached("/next")
    context.clear_cookies(name="__Host-postern-app")
    page.goto(world.url("/next?z=1"))
    assert world.reached("/next") == before
    give_code(page, world)
    page.wait_for_url(world.url("/next?z=1"))
    assert world.reached("/next") == before + 1
    page.goto(world.url("/within"))  # the session goes on
    page.wait_for_url(world.url("/within"))


def test_what_a_form_sent_is_not_replayed_and_the_person_is_told(world: World, context: BrowserContext) -> None:
    """S11: a demand made while the page is open is asked for at the next request; the body goes nowhere."""
    world.demand("")
    page = context.new_page()
    page.goto(world.url("/form"))
    page.wait_for_url(world.url("/form"))
    world.demand(OWN)
    page.get_by_role("textbox").fill("the secret text")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("did not reach the app").wait_for()
    assert world.reached("/submit") == 0
    with context.expect_page() as opened:
        page.get_by_role("link", name="Confirm that it is you").click()
    give_code(opened.value, world)
    opened.value.wait_for_url(world.url("/"))
    assert world.reached("/submit") == 0
    page.go_back()
    page.get_by_role("textbox").fill("the secret text")
    page.get_by_role("button", name="Send").click()
    page.wait_for_url(world.url("/submit"))
    assert world.reached("/submit") == 1
    assert b"the+secret+text" in next(seen.body for seen in world.app.seen if seen.target == "/submit")


def test_a_script_gets_reasons_and_where_to_confirm(world: World, context: BrowserContext) -> None:
    world.demand("")
    page = context.new_page()
    page.goto(world.url("/form"))
    page.wait_for_url(world.url("/form"))
    world.demand(OWN)
    said = page.evaluate("async () => { const r = await fetch('/api'); return [r.status, await r.json()] }")
    assert said[0] == 403
    assert said[1]["reasons"][0]["reason"] == "mfa-spent"
    assert said[1]["confirm_url"].startswith(f"{world.product.url}/account/confirm?next=/launch/grafana")
    cut = page.evaluate(
        "() => new Promise(end => { const s = new WebSocket(`ws://${location.host}/ws`);"
        " s.onopen = () => end('open'); s.onerror = () => end('refused') })"
    )
    assert cut == "refused"


def test_the_wrong_kind_of_factor_is_told_in_words_and_leads_nowhere_round(
    world: World, context: BrowserContext
) -> None:
    """M15: who has only a code is asked for a key once, hears what to do, and is not sent in circles."""
    world.demand("require_session_mfa: phishing-resistant")
    page = context.new_page()
    page.goto(world.url("/report"))
    page.wait_for_url("**/account/confirm?**need=phishing-resistant")
    assert page.get_by_role("heading").first.inner_text()
    asked = page.url
    # as if it had been given by the wrong kind: the next page along says so, and does not ask again
    page.goto(world.product.url + "/launch/grafana?next=/report&asked=1")
    assert "/account/confirm" not in page.url
    assert "mfa-kind" in page.content()
    assert "need=phishing-resistant" in page.get_by_role("link", name="passkey").get_attribute("href")  # type: ignore[operator]
    assert asked


def test_without_a_terminal_a_command_says_how_to_confirm(world: World) -> None:
    world.demand(OWN)
    for arguments in (("app", "token", "grafana"), ("ssh", f"{ME}@db-1", "true")):
        ran = world.admin.postern(*arguments)
        assert ran.returncode == 4, ran.stderr
        assert "postern confirm" in ran.stderr
        assert ran.stdout == ""
    ran = world.admin.ssh(f"{ME}@db-1.postern", "true")
    assert ran.returncode == 255
    assert "postern confirm" in ran.stderr
    with world.typist("--no-input", "app", "token", "grafana") as typist:
        assert typist.ends() == 4
        assert "postern confirm" in typist.shown


def test_a_command_asks_for_a_code_and_goes_on(world: World) -> None:
    """A wrong code first; then the token, and nothing but the token, as the answer."""
    world.demand(OWN)
    with world.typist("app", "token", "grafana") as typist:
        typist.sees(r"code of your authenticator app \(or Enter to use the browser\): ")
        typist.types("000000")
        typist.sees("this code is wrong")
        typist.sees("browser\\): ")
        typist.types(world.recovery.pop())
        token = typist.sees(r"ptn_app_[0-9A-Za-z]{43}")[0]
        assert typist.ends() == 0
    with world.product.http(headers={"Authorization": f"Bearer {token}"}) as client:
        assert client.get(world.url("/by-token")).status_code == 200


def test_a_command_asks_in_the_browser_and_goes_on(world: World) -> None:
    """M19: the address and a number; the person gives a second factor there, types the number, and says yes."""
    world.demand(OWN)
    with world.typist("app", "token", "grafana") as typist:
        typist.sees("browser\\): ")
        typist.types("")
        address = typist.sees(r"http\S+/confirm/\S+")[0]
        number = typist.sees(r"number: (\d\d)")[1]
        path = address.removeprefix(world.product.url)
        assert "get a token for grafana" in world.person.browser.get(path).text
        confirm = f"/account/confirm?with=recovery-code&next={path}"
        given = world.person._post(confirm, {"code": world.recovery.pop()})
        assert given.headers.get("Location") == path, given.text
        done = world.person._post(path, {"answer": "yes", "number": number})
        assert "Go back to the terminal" in done.text
        typist.sees(r"ptn_app_[0-9A-Za-z]{43}")
        assert typist.ends() == 0


def test_plain_ssh_asks_at_its_terminal_and_logs_in(world: World) -> None:
    """The ProxyCommand talks on stderr and reads from the terminal; the next connection has its certificate already."""
    world.demand(OWN)
    config = str(world.admin.home / ".ssh" / "config")
    command = ["ssh", "-F", config, f"{ME}@db-1.postern", "echo", "I am in"]
    with Typist(command, world.admin.environ) as typist:
        typist.sees("browser\\): ")
        typist.types(world.recovery.pop())
        typist.sees("I am in")
        assert typist.ends() == 0
    again = world.admin.ssh(f"{ME}@db-1.postern", "echo", "again")
    assert (again.returncode, again.stdout) == (0, "again\n"), again.stderr
    assert "ProxyCommand" not in again.stderr


def test_confirm_beforehand_and_postern_ssh_starts_without_asking(world: World) -> None:
    world.demand(OWN)
    for file in (world.admin.home / ".local/state/postern/certs").glob("*-cert.pub"):
        file.unlink()
    with world.typist("confirm") as typist:
        typist.sees("browser\\): ")
        typist.types(world.recovery.pop())
        typist.sees("confirmed")
        assert typist.ends() == 0
    assert world.admin.ok("ssh", "-o", "BatchMode=yes", f"{ME}@db-1", "echo", "in") == "in\n"
    status = json.loads(world.admin.ok("status", "-o", "json"))
    assert "rc" in status["session"]["amr"]


def test_what_was_asked_and_answered_is_in_the_log(world: World) -> None:
    items = json.loads(world.admin.ok("admin", "events", "-o", "json")) if _may_read_events(world) else []
    names = {item["type"] for item in items}
    assert {"login_session.confirmation.asked", "login_session.confirmed"} <= names


def test_a_passkey_is_asked_for_added_and_leads_into_the_app(world: World, context: BrowserContext) -> None:
    """M15, end to end: a code does not count, and the person is told so; with a key they get where they were going.

    The last of them all: who has a passkey is asked for it first everywhere.
    """
    world.demand("require_session_mfa: phishing-resistant")
    page = context.new_page()
    cdp = context.new_cdp_session(page)
    cdp.send("WebAuthn.enable", {"enableUI": False})
    laptop = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    hands = {"isUserVerified": True, "automaticPresenceSimulation": True}
    cdp.send("WebAuthn.addVirtualAuthenticator", {"options": {**laptop, **hands}})
    before = world.reached("/vault")
    page.goto(world.url("/vault?x=1"))
    page.wait_for_url("**/account/confirm?**need=phishing-resistant")
    page.get_by_text("A code can be phished, so it does not count here").wait_for()
    assert page.get_by_role("textbox").count() == 0, "no code is asked for"
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_role("heading", name="Add a passkey").or_(page.get_by_label("Code")).first.wait_for()
    if "/account/confirm" in page.url:  # the factor they have, once more
        give_code(page, world)
        page.get_by_role("heading", name="Add a passkey").wait_for()
    page.locator("main").get_by_role("button", name="Add a passkey").click()
    page.wait_for_url("**/account/confirm?**need=phishing-resistant")
    assert world.reached("/vault") == before, "to have one is not to have used it"
    page.locator("main").get_by_role("button", name="Use a passkey or security key").click()
    page.wait_for_url(world.url("/vault?x=1"))
    assert world.reached("/vault") == before + 1
    page.goto(world.url("/vault/within"))  # the session goes on
    page.wait_for_url(world.url("/vault/within"))
    assert world.reached("/vault/within") == 1


def _may_read_events(world: World) -> bool:
    world.admin.ok("admin", "apply", "-f", "-", typed="{kind: role_binding, spec: {role: auditor, user: admin}}")
    return True
