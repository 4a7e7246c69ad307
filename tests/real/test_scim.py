"""The whole product and a provisioning client: somebody comes, works, is made inactive there, and has nothing here."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.real.cli_machine import Machine, machine
from tests.real.echo import Echo
from tests.real.product import Product
from tests.real.web_person import WebPerson

pytestmark = pytest.mark.real

HOST = "wiki.postern.localhost"
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
WITHIN = 3.0
"""Seconds; the bench measures tens of milliseconds, this is for a busy machine."""

POLICY = """\
{{kind: scim, metadata: {{name: okta}}}}
---
kind: app
metadata: {{name: wiki, labels: {{env: dev}}}}
spec: {{uri: '{app}'}}
---
{{kind: server, metadata: {{name: db-1, labels: {{env: dev}}}}, spec: {{addr: '127.0.0.1:2222'}}}}
---
{{kind: role_binding, metadata: {{name: admin-reads}}, spec: {{role: auditor, user: admin}}}}
---
kind: role
metadata: {{name: engineer}}
spec: {{allow: {{app_labels: {{env: dev}}, server_labels: {{env: dev}}, logins: [deploy]}}}}
"""
BINDING = "{kind: role_binding, metadata: {name: sre-engineer}, spec: {role: engineer, group: sre}}"


@dataclass
class Person:
    """Somebody provisioned, at work: a browser with the app open, a WebSocket in it, a CLI."""

    ident: str
    web: WebPerson
    machine: Machine
    key: Path
    tunnel: ClientConnection

    def cookie(self) -> str:
        """The app's cookie, as a header."""
        found = next(c for c in self.web.browser.cookies.jar if c.name == "__Host-postern-app")
        return f"{found.name}={found.value}"

    def certificate(self) -> int:
        """The exit code of asking for a certificate that is not on this machine yet."""
        ran = self.machine.postern("cert", "access", "deploy@db-1", "--key", str(self.key), "--out", f"{self.key}-cert")
        return ran.returncode


@dataclass
class World:
    """The product, its administrator, and a client with its token."""

    product: Product
    admin: Machine
    at: Path
    token: str
    sre: str = ""

    def scim(self, method: str, path: str, body: Any = None, token: str | None = None) -> httpx2.Response:
        """One request of the client."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        headers["Content-Type"] = "application/scim+json"
        with self.product.http(headers=headers) as client:
            return client.request(method, f"/scim/v2/{path}", content=json.dumps(body) if body else b"")

    def patch(self, path: str, *operations: Any) -> httpx2.Response:
        """A PATCH."""
        answer = self.scim("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)})
        assert answer.status_code in (200, 204), answer.text
        return answer

    def newcomer(self, name: str) -> Person:
        """Somebody provisioned by the client, in the group that may, with everything open."""
        made = self.scim("POST", "Users", {"userName": f"{name}@example.com", "active": True})
        assert made.status_code == 201, made.text
        ident = made.json()["id"]
        self.patch(f"Groups/{self.sre}", {"op": "add", "path": "members", "value": [{"value": ident}]})
        web = WebPerson(self.product.http(), self.product.url)
        web.come_in(self.admin.ok("admin", "users", "invite", name).splitlines()[0])
        assert web.browser.get(self.page, headers=NAVIGATION, follow_redirects=True).status_code == 200
        theirs = machine(self.at, name, self.product)
        theirs.login(web)
        key = self.at / f"{name}.pub"
        public = Ed25519PrivateKey.generate().public_key()
        key.write_bytes(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n")
        found = next(c for c in web.browser.cookies.jar if c.name == "__Host-postern-app")
        tunnel = connect(
            f"ws://{HOST}:{self.product.port}/ws",
            sock=socket.create_connection(("127.0.0.1", self.product.port)),
            additional_headers={"Cookie": f"{found.name}={found.value}"},
            origin=Origin(f"http://{HOST}:{self.product.port}"),
            ping_interval=None,
            legacy=True,
        )
        person = Person(ident, web, theirs, key, tunnel)
        tunnel.send("here")
        assert tunnel.recv(10) == "here"
        assert person.certificate() == 0
        assert theirs.postern("status").returncode == 0
        return person

    @property
    def page(self) -> str:
        """A page of the app."""
        return f"http://{HOST}:{self.product.port}/page"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    at = tmp_path_factory.mktemp("scim")
    with Echo() as app, Product(at / "data") as product:
        boss = WebPerson(product.http(), product.url)
        boss.come_in(product.invite_url)
        admin = machine(at, "admin", product)
        admin.login(boss)
        admin.ok("admin", "apply", "-f", "-", typed=POLICY.format(app=app.uri))
        token = admin.ok("admin", "scim-token", "okta", "--yes").strip()
        assert token.startswith("ptn_scim_")
        found = World(product, admin, at, token)
        made = found.scim("POST", "Groups", {"displayName": "SRE"})
        assert made.status_code == 201, made.text
        found.sre = made.json()["id"]
        admin.ok("admin", "apply", "-f", "-", typed=BINDING)
        yield found


def until_refused(world: World, person: Person) -> float:
    """Seconds until the app refuses the session that was open."""
    began = time.monotonic()
    with world.product.http(headers={"Cookie": person.cookie()}) as client:
        while client.get(world.page).status_code == 200:
            assert time.monotonic() - began < WITHIN, "not cut"
    return time.monotonic() - began


def is_cut(tunnel: ClientConnection) -> None:
    """The WebSocket is closed, from our side."""
    closed = False
    while not closed:
        try:
            tunnel.recv(WITHIN)
        except ConnectionClosed:
            closed = True


WAYS: list[tuple[str, Callable[[World, Person], Any]]] = [
    ("patch", lambda w, p: w.patch(f"Users/{p.ident}", {"op": "Replace", "path": "active", "value": "False"})),
    ("delete", lambda w, p: w.scim("DELETE", f"Users/{p.ident}")),
]


@pytest.mark.parametrize("leave", [way[1] for way in WAYS], ids=[way[0] for way in WAYS])
def test_who_leaves_there_is_out_of_everything_here(
    world: World, leave: Callable[[World, Person], Any], request: pytest.FixtureRequest
) -> None:
    """S10, S11: web, WebSocket, CLI, new certificates; the same certificate on disk is nothing to ask again with."""
    person = world.newcomer(f"zoe-{request.node.callspec.id}")
    leave(world, person)
    until_refused(world, person)
    is_cut(person.tunnel)
    assert person.machine.postern("status").returncode == 3
    assert person.certificate() == 3
    assert person.web.browser.get("/account", follow_redirects=False).status_code == 302
    events = json.loads(world.admin.ok("admin", "events", "--type", "user.disabled", "-o", "json"))
    assert (events[0]["actor"]["kind"], events[0]["actor"]["name"]) == ("connector", "scim:okta")
    assert events[0]["resource"]["name"] == person.machine.home.name.removeprefix("home of ")


def test_who_leaves_a_group_there_loses_what_it_gives_and_stays_signed_in(world: World) -> None:
    person = world.newcomer("yan")
    world.patch(f"Groups/{world.sre}", {"op": "remove", "path": f'members[value eq "{person.ident}"]'})
    until_refused(world, person)
    is_cut(person.tunnel)
    assert person.certificate() in (1, 4)  # there is no such server, or it is not yours
    assert person.machine.postern("status").returncode == 0


def test_who_comes_back_there_may_sign_in_here_but_has_nothing_open(world: World) -> None:
    person = world.newcomer("xena")
    world.patch(f"Users/{person.ident}", {"op": "replace", "value": {"active": False}})
    until_refused(world, person)
    told = world.patch(f"Users/{person.ident}", {"op": "replace", "value": {"active": True}}).json()
    assert told["active"] is True
    assert person.machine.postern("status").returncode == 3
    with world.product.http(headers={"Cookie": person.cookie()}) as client:
        assert client.get(world.page).status_code != 200
    person.web.browser.cookies.jar.clear()
    step = person.web._send("/sign-in", {"username": "xena", "password": person.web.password})
    assert step == "/sign-in/second-factor"


def test_no_other_credential_opens_the_door_and_its_token_no_other(world: World) -> None:
    for token in ("nothing", "ptn_scim_" + "x" * 43):
        assert world.scim("GET", "Users", token=token).status_code == 401
    with world.product.http(headers={"Authorization": f"Bearer {world.token}"}) as client:
        assert client.get("/api/v1/status").status_code == 401
        assert client.get(world.page).status_code == 401
    assert world.scim("GET", "ServiceProviderConfig").json()["bulk"]["supported"] is False


def test_the_token_is_in_no_log_of_the_product(world: World) -> None:
    world.scim("GET", "Users")
    assert world.token not in world.product.output
    for file in (world.at / "data").rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert world.token.encode() not in file.read_bytes(), file


def test_a_disabled_client_is_refused_at_once_and_a_new_token_ends_the_old(world: World) -> None:
    old = world.token
    world.admin.ok("admin", "apply", "-f", "-", typed="{kind: scim, metadata: {name: okta}, spec: {enabled: false}}")
    assert world.scim("GET", "Users").status_code == 401
    world.admin.ok("admin", "apply", "-f", "-", typed="{kind: scim, metadata: {name: okta}}")
    assert world.scim("GET", "Users").status_code == 200
    world.token = world.admin.ok("admin", "scim-token", "okta", "--yes").strip()
    assert world.scim("GET", "Users").status_code == 200
    assert world.scim("GET", "Users", token=old).status_code == 401
