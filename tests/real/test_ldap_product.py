"""The whole product with a real directory: somebody signs in, opens an app and a CLI, leaves, and is out of both."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.cli_machine import Machine, machine
from tests.real.echo import Echo
from tests.real.product import Product
from tests.real.slapd import GROUPS, PEOPLE, READER, READER_PASSWORD, Slapd, group, password_of, person
from tests.real.web_person import WebPerson

pytestmark = pytest.mark.real

PEOPLE_HERE = tuple(f"person-{number}" for number in range(6))
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
WITHIN = 3.0
"""Seconds; the bench measures tens of milliseconds, this is for a busy machine."""

POLICY = """\
kind: ldap
metadata: {{name: corp}}
spec:
  urls: ['{url}']
  bind_dn: {reader}
  bind_password: {password}
  user_search: {{base: '{people}'}}
  group_search: {{base: '{groups}'}}
  groups: [{{claim: groups, groups: ['{{{{external.groups}}}}']}}]
  create_users: {{groups: [sre]}}
---
{{kind: group, metadata: {{name: sre}}}}
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
metadata: {{name: sre-engineer}}
spec: {{role: engineer, group: sre}}
"""


class DirectoryPerson(WebPerson):
    """Somebody of the directory, in a browser."""

    def sign_in(self, name: str) -> None:
        """From the form to the end of enrolment."""
        self.enrol(self.type_in(name))

    def type_in(self, name: str) -> str:
        """Name and password; the step that is next."""
        step = self._send("/sign-in", {"username": name, "password": password_of(name)})
        assert step == "/sign-in/enrol", step
        return step

    def open(self, product: Product) -> int:
        """What the app answers in this browser."""
        address = f"http://wiki.postern.localhost:{product.port}/page"
        answer = self.browser.get(address, headers=NAVIGATION, follow_redirects=True)
        return answer.status_code if answer.url.host.startswith("wiki.") else 401


@dataclass
class World:
    product: Product
    slapd: Slapd
    admin: Machine
    at: Path

    def newcomer(self, name: str) -> tuple[DirectoryPerson, Machine]:
        """Somebody signed in, with the app open and a CLI."""
        who = DirectoryPerson(self.product.http(), self.product.url)
        who.sign_in(name)
        assert who.open(self.product) == 200
        theirs = machine(self.at, name, self.product)
        theirs.login(who)
        assert json.loads(theirs.ok("status", "-o", "json"))
        theirs.ok("app", "token", "wiki")
        return who, theirs


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    at = tmp_path_factory.mktemp("ldap-product")
    entries = [person("keeper"), *(person(name) for name in PEOPLE_HERE), group("sre", "keeper", *PEOPLE_HERE)]
    with Slapd(entries=entries) as slapd, Echo() as app, Product(at / "data") as product:
        boss = WebPerson(product.http(), product.url)
        boss.come_in(product.invite_url)
        admin = machine(at, "admin", product)
        admin.login(boss)
        policy = POLICY.format(
            url=slapd.url, reader=READER, password=READER_PASSWORD, people=PEOPLE, groups=GROUPS, app=app.uri
        )
        admin.ok("admin", "apply", "-f", "-", typed=policy)
        yield World(product, slapd, admin, at)


def until_refused(world: World, who: DirectoryPerson) -> float:
    """Seconds until the app refuses the session that was open."""
    cookie = next(c for c in who.browser.cookies.jar if c.name == "__Host-postern-app")
    began = time.monotonic()
    with world.product.http(headers={"Cookie": f"{cookie.name}={cookie.value}"}) as client:
        while (answer := client.get(f"http://wiki.postern.localhost:{world.product.port}/page")).status_code == 200:
            assert time.monotonic() - began < WITHIN, "not cut"
    assert answer.status_code in (302, 401, 403)
    return time.monotonic() - began


def until_out(theirs: Machine) -> None:
    """The CLI's session is over."""
    deadline = time.monotonic() + WITHIN + 5
    while theirs.postern("status").returncode == 0:
        assert time.monotonic() < deadline, "the CLI still is in"


def pid_of(world: World, name: str) -> int:
    """The process id of one of the supervisor's children."""
    children = Path(f"/proc/{world.product.pid}/task/{world.product.pid}/children").read_text().split()
    for pid in children:
        if Path(f"/proc/{pid}/comm").read_text().strip() == f"postern-{name}"[:15]:
            return int(pid)
    raise AssertionError(f"no process {name} among {children}")


def left(world: World, name: str) -> None:
    world.slapd.delete(f"uid={name},{PEOPLE}")


def locked(world: World, name: str) -> None:
    world.slapd.lock(name)


@pytest.mark.parametrize(("name", "leave"), [("person-0", left), ("person-1", locked)])
def test_who_leaves_is_out_of_app_and_cli(world: World, name: str, leave: Callable[[World, str], None]) -> None:
    """S10: in the directory's one change, without anybody touching Postern."""
    who, theirs = world.newcomer(name)
    leave(world, name)
    until_refused(world, who)
    until_out(theirs)
    assert theirs.postern("app", "token", "wiki").returncode in (1, 3, 4)
    assert who.browser.get("/account").status_code == 302
    with pytest.raises(AssertionError):
        DirectoryPerson(world.product.http(), world.product.url).sign_in(name)


def test_who_leaves_a_group_loses_what_it_gave_and_stays_signed_in(world: World) -> None:
    who, theirs = world.newcomer("person-2")
    world.slapd.leave_group("sre", "person-2")
    until_refused(world, who)
    assert theirs.postern("app", "token", "wiki").returncode in (1, 4)
    assert theirs.postern("status").returncode == 0
    world.slapd.join_group("sre", "person-2")
    deadline = time.monotonic() + WITHIN
    while who.open(world.product) != 200:
        assert time.monotonic() < deadline, "not let in again"


def test_the_follower_is_ended_and_comes_back(world: World) -> None:
    """What changes meanwhile is seen at its start, what changes thereafter at once."""
    who, _ = world.newcomer("person-3")
    other, _ = world.newcomer("person-4")
    os.kill(pid_of(world, "directory"), signal.SIGKILL)
    world.slapd.leave_group("sre", "person-3")
    until_refused_after_a_restart(world, who)
    world.slapd.leave_group("sre", "person-4")
    until_refused(world, other)


def until_refused_after_a_restart(world: World, who: DirectoryPerson) -> None:
    deadline = time.monotonic() + 20
    while who.open(world.product) == 200:
        assert time.monotonic() < deadline, "not cut after the follower came back"
        time.sleep(0.05)


def test_the_directory_is_restarted(world: World) -> None:
    who, _ = world.newcomer("person-5")
    world.slapd.stop()
    assert who.open(world.product) == 200, "an outage throws nobody out"
    world.slapd.go_on()
    world.slapd.leave_group("sre", "person-5")
    until_refused_after_a_restart(world, who)


def test_no_secret_is_told(world: World) -> None:
    """The bind account's password and the people's stand neither in the database nor in what the processes say."""
    DirectoryPerson(world.product.http(), world.product.url).type_in("keeper")
    read = world.admin.ok("admin", "get", "ldap/corp")
    assert "kept:" in read
    kept = b"".join(path.read_bytes() for path in world.product.data_dir.glob("postern.sqlite3*"))
    assert b"keeper" in kept, "else this looks in the wrong place"
    for secret in (READER_PASSWORD, *map(password_of, ("keeper", *PEOPLE_HERE))):
        assert secret not in read + world.product.output
        assert secret.encode() not in kept
