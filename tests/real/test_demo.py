"""The README's path: `bin/run --demo`, in by the printed links, the app and the server opened, access taken away."""

from __future__ import annotations

import json
import os
import pwd
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.real.cli_machine import Machine, machine
from tests.real.product import Product
from tests.real.web_person import WebPerson

pytestmark = pytest.mark.real

ME = pwd.getpwuid(os.geteuid()).pw_name


@dataclass
class Demo:
    """The demo and its people, each signed in on a machine of their own."""

    product: Product
    machines: dict[str, Machine]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    directory = tmp_path_factory.mktemp("demo")
    with Product(directory / "var", demo=True) as product:
        machines = {}
        for name in ("alice", "bob", "charlie"):
            person = WebPerson(product.http(), product.url)
            person.come_in(link_of(product, name))
            machines[name] = machine(directory, name, product)
            machines[name].login(person)
        yield Demo(product, machines)


def link_of(product: Product, name: str) -> str:
    """The link that was printed below a person's name."""
    found = re.search(rf"^  {name} .*\n\s+(http\S+)$", product.output, re.MULTILINE)
    assert found, product.output
    return found[1]


def assert_no_shell(person: Machine) -> None:
    """Nothing runs on the server, and the refusal names the request that can be looked up."""
    tried = person.postern("ssh", f"{ME}@demo-server", "id")
    assert tried.returncode != 0
    assert "uid=" not in tried.stdout
    assert "request " in tried.stderr, tried.stderr


def test_charlie_may_nothing(demo: Demo) -> None:
    charlie = demo.machines["charlie"]
    assert "or it is not yours" in charlie.postern("app", "curl", "demo-app", "/whoami").stderr
    assert_no_shell(charlie)
    assert charlie.ok("ls", "-o", "json").strip() in ("[]", '{"items": []}', "")


def test_bob_may_look_at_the_app_and_neither_post_nor_log_in(demo: Demo) -> None:
    bob = demo.machines["bob"]
    assert json.loads(bob.ok("app", "curl", "demo-app", "/whoami"))["user"] == "bob"
    posted = bob.postern("app", "curl", "demo-app", "/say", "--data", "words=hello", "-w", "%{http_code}")
    assert "403" in posted.stdout
    assert_no_shell(bob)


def test_the_app_knows_alice_and_that_postern_says_so(demo: Demo) -> None:
    known = json.loads(demo.machines["alice"].ok("app", "curl", "demo-app", "/whoami"))
    assert known["user"] == "alice"
    assert known["verified"] is True
    assert known["claims"]["groups"] == ["demo-engineers"]


def test_alice_is_on_the_server_with_postern_ssh_and_with_plain_ssh(demo: Demo) -> None:
    alice = demo.machines["alice"]
    assert alice.ok("ssh", f"{ME}@demo-server", "id", "-un").strip() == ME
    alice.ok("ssh-config", "--install", "--yes")
    plain = alice.ssh(f"{ME}@demo-server.postern", "id", "-un")
    assert (plain.returncode, plain.stdout.strip()) == (0, ME), plain.stderr


def test_a_lock_takes_it_all_away(demo: Demo) -> None:
    alice = demo.machines["alice"]
    administrator = WebPerson(demo.product.http(), demo.product.url)
    administrator.come_in(demo.product.invite_url)
    desk = machine(demo.product.data_dir.parent, "admin", demo.product)
    desk.login(administrator)
    desk.ok("admin", "lock", "user", "alice", "--ttl", "1h", "--reason", "trying it out")
    assert alice.postern("app", "curl", "demo-app", "/whoami").returncode in (3, 4)
    for certificate in alice.home.rglob("*-cert.pub"):  # one that is out is good until it ends, five minutes at most
        certificate.unlink()
    assert_no_shell(alice)
