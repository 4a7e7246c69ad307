"""The CLI end to end: the real broker, a real sshd set up by the enrolment script's means, plain ssh."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.broker_server import BrokerServer
from tests.real.cli_machine import Machine, machine
from tests.real.sshd import ME, Sshd
from tests.real.web_person import WebPerson

pytestmark = pytest.mark.real

POLICY = """\
kind: role
metadata: {{name: database}}
spec:
  allow:
    logins: [{login}]
    server_labels: {{env: prod}}
---
kind: role_binding
metadata: {{name: alice-database}}
spec: {{role: database, user: alice}}
---
kind: user
metadata: {{name: alice}}
spec: {{}}
---
kind: user
metadata: {{name: bob}}
spec: {{}}
---
kind: server
metadata:
  name: db-1
  labels: {{env: prod}}
spec:
  addr: 127.0.0.1:{db_1}
---
kind: server
metadata:
  name: web-1
  labels: {{env: dev}}
spec:
  addr: 127.0.0.1:{web_1}
"""


@dataclass
class World:
    """The broker, its two servers, the administrator and alice with a machine each."""

    broker: BrokerServer
    db_1: Sshd
    web_1: Sshd
    admin: Machine
    alice: Machine
    alice_in_browser: WebPerson


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("cli")
    (directory / "data").mkdir()
    with BrokerServer(directory / "data") as broker:
        admin = machine(directory, "admin", broker)
        boss = WebPerson(broker.http(), broker.url)
        boss.come_in(broker.invite_url)
        admin.login(boss)
        user_ca = re.search(r"ssh-ed25519 \S+|ecdsa-sha2-nistp256 \S+", _user_ca(broker))
        assert user_ca
        with (
            Sshd(directory, "db-1", user_ca=user_ca[0]) as plain_db_1,
            Sshd(directory, "web-1", user_ca=user_ca[0]) as plain_web_1,
        ):
            policy = POLICY.format(login=ME, db_1=plain_db_1.port, web_1=plain_web_1.port)
            (directory / "policy").mkdir()
            (directory / "policy" / "all.yaml").write_text(policy)
            print(admin.ok("admin", "apply", "-f", str(directory / "policy")))
            for server in (plain_db_1, plain_web_1):
                _enrol(admin, server)
            alice = machine(directory, "alice", broker)
            person = WebPerson(broker.http(), broker.url)
            person.come_in(json.loads(admin.ok("admin", "users", "invite", "alice", "-o", "json"))["url"])
            alice.login(person)
            alice.ok("ssh-config", "--install", "--yes")
            yield World(broker, plain_db_1, plain_web_1, admin, alice, person)


def _user_ca(broker: BrokerServer) -> str:
    code = "from broker.services import authorities; from broker.ca.profile import CertificateKind as K; "
    return broker.manage("shell", "-v0", "-c", code + "print(*authorities.trusted_lines(K.USER), sep='\\n')")


def _enrol(admin: Machine, server: Sshd) -> None:
    """Give the server the host certificate that `enroll` writes into its script, and restart it on the same port."""
    script = admin.ok("admin", "servers", "enroll", server.name, "--host-key", str(server.directory / "host_key.pub"))
    found = re.search(r"<<'CERTIFICATE'\n(.+)\nCERTIFICATE", script)
    assert found, script
    (server.directory / "host_key-cert.pub").write_text(found[1] + "\n")
    server.stop()
    config = server.directory / "sshd_config"
    config.write_text(config.read_text() + f"HostCertificate {server.directory}/host_key-cert.pub\n")
    assert server._run()


def test_the_admin_is_signed_in_as_one(world: World) -> None:
    status = json.loads(world.admin.ok("status", "-o", "json"))
    assert status["user"] == "admin"
    assert status["session"]["kind"] == "cli"
    assert status["url"] == status["broker"]["url"] == world.broker.url


def test_alice_sees_her_server_and_no_other(world: World) -> None:
    items = json.loads(world.alice.ok("ls", "-o", "json"))
    assert [(item["name"], item["logins"]) for item in items] == [("db-1", [ME])]
    assert "web-1" not in world.alice.ok("ls")


def test_plain_ssh_opens_her_server(world: World) -> None:
    ran = world.alice.ssh(f"{ME}@db-1.postern", "echo", "in")
    assert (ran.returncode, ran.stdout) == (0, "in\n"), ran.stderr
    assert "postern:access:alice" in world.db_1.log()
    assert f"{ME}@db-1.postern" in world.alice.ok("cert", "show")


def test_postern_ssh_opens_it_too(world: World) -> None:
    assert world.alice.ok("ssh", "-o", "BatchMode=yes", f"{ME}@db-1", "cat", typed="through") == "through"


def test_a_server_she_may_not_open_is_refused_with_reason_and_request_id(world: World) -> None:
    ran = world.alice.ssh(f"{ME}@web-1.postern", "echo in")
    assert (ran.returncode, ran.stdout) == (255, "")
    assert re.match(r"postern: .+\[request [0-9a-f]+\]", ran.stderr.splitlines()[0]), ran.stderr


def test_a_login_she_may_not_use_is_refused(world: World) -> None:
    ran = world.alice.postern("cert", "access", "somebody@db-1")
    assert ran.returncode == 4, ran.stderr
    assert "request id: " in ran.stderr


def test_her_certificate_for_one_server_does_not_open_the_other(world: World) -> None:
    """A certificate for db-1, taken to web-1 by hand, is refused by web-1's own sshd."""
    assert world.alice.ssh(f"{ME}@db-1.postern", "true").returncode == 0
    state = world.alice.home / ".local/state/postern"
    options = [
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ]
    options += ["-o", "IdentitiesOnly=yes", "-o", f'CertificateFile="{state}/certs/{ME}@db-1.postern-cert.pub"']
    options += ["-i", str(state / "keys/id_ed25519")]

    def to(server: Sshd) -> int:
        words = ["ssh", *options, "-p", str(server.port), f"{ME}@127.0.0.1", "true"]
        return subprocess.run(words, capture_output=True, timeout=60, stdin=subprocess.DEVNULL).returncode

    assert to(world.db_1) == 0
    assert to(world.web_1) == 255


def test_the_identity_certificate_opens_no_server(world: World, tmp_path: Path) -> None:
    world.alice.ok("cert", "identity", "--out", str(tmp_path / "id-cert.pub"))
    shown = subprocess.run(["ssh-keygen", "-L", "-f", str(tmp_path / "id-cert.pub")], capture_output=True, text=True)
    assert re.search(r"Principals:\s+alice\s", shown.stdout)
    state = world.alice.home / ".local/state/postern"
    words = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "IdentitiesOnly=yes"]
    words += ["-o", "UserKnownHostsFile=/dev/null", "-o", f"CertificateFile={tmp_path}/id-cert.pub"]
    words += ["-i", str(state / "keys/id_ed25519"), "-p", str(world.db_1.port), f"{ME}@127.0.0.1", "true"]
    assert subprocess.run(words, capture_output=True, timeout=60, stdin=subprocess.DEVNULL).returncode == 255


def test_why_tells_alice_and_the_administrator(world: World) -> None:
    mine = world.alice.ok("why", "ssh.session", f"{ME}@db-1")
    assert mine.startswith(f"ssh.session {ME}@db-1: permitted (role-allows)\n")
    assert "database" in mine
    theirs = json.loads(world.admin.ok("why", "bob", "ssh.session", f"{ME}@db-1", "-o", "json"))
    assert theirs["decision"] == "denial"
    assert world.alice.postern("why", "bob", "ssh.session", f"{ME}@db-1").returncode == 4


def test_alice_administers_nothing(world: World) -> None:
    for words in (["get", "role"], ["rm", "role/database", "--yes"], ["events"], ["locks", "ls"], ["users", "ls"]):
        ran = world.alice.postern("admin", *words)
        assert (ran.returncode, ran.stdout) == (4, ""), (words, ran.stderr)


def test_applying_twice_changes_nothing_and_problems_have_a_line(world: World, tmp_path: Path) -> None:
    policy = world.admin.home.parent / "policy"
    assert world.admin.ok("admin", "apply", "-f", str(policy)).startswith("nothing to change")
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: role\nmetadata: {name: x}\nspec:\n  alow: {}\n")
    ran = world.admin.postern("admin", "apply", "-f", str(bad))
    assert ran.returncode == 1
    assert re.search(rf"^error: {re.escape(str(bad))}:4: .*alow", ran.stderr, re.MULTILINE), ran.stderr
    assert "allow" in ran.stderr


def test_a_lock_stops_new_connections_at_once_though_the_certificate_is_good(world: World) -> None:
    """The certificate on disk is not asked about; what stops her is that a new one is refused."""
    world.admin.ok("admin", "lock", "user", "alice", "--ttl", "1h", "--reason", "lost laptop")
    try:
        for file in (world.alice.home / ".local/state/postern/certs").iterdir():
            file.unlink()
        ran = world.alice.ssh(f"{ME}@db-1.postern", "true")
        assert ran.returncode == 255
        assert "lost laptop" in ran.stderr or "locked" in ran.stderr
        assert "alice" in world.admin.ok("admin", "locks", "ls")
    finally:
        assert world.admin.ok("admin", "unlock", "user", "alice") == "lifted 1 lock\n"
    assert world.alice.ssh(f"{ME}@db-1.postern", "true").returncode == 0


def test_edit_and_rm_work_on_the_real_thing(world: World, tmp_path: Path) -> None:
    extra = tmp_path / "extra.yaml"
    extra.write_text(
        "kind: role\nmetadata: {name: extra}\nspec:\n  allow:\n    logins: [one]\n    server_labels: {env: dev}\n"
    )
    assert world.admin.ok("admin", "apply", "-f", str(extra)).startswith("+ role extra\n")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/one/two/ "$1"\n')
    editor.chmod(0o755)
    command = [sys.executable, "-m", "postern", "admin", "edit", "role/extra"]
    environment = {**world.admin.environ, "EDITOR": str(editor)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "two" in world.admin.ok("admin", "get", "role/extra")
    assert world.admin.ok("admin", "rm", "role/extra", "--yes") == "removed role extra\n"
    assert world.admin.postern("admin", "get", "role/extra").returncode == 1


def test_each_certificate_is_in_the_log_with_its_session(world: World) -> None:
    world.admin.ok("admin", "apply", "-f", "-", typed=_auditor("admin"))
    events = json.loads(world.admin.ok("admin", "events", "--actor", "alice", "--type", "ssh.session", "-o", "json"))
    assert {event["resource"]["name"] for event in events} >= {"db-1"}
    assert "ssh.session.started" in world.admin.ok("admin", "events", "--actor", "alice", "--since", "1h")
    assert f"{ME}@db-1" in world.admin.ok("admin", "sessions", "ls", "--user", "alice", "--ended")


def _auditor(user: str) -> str:
    return f"kind: role_binding\nmetadata: {{name: {user}-auditor}}\nspec: {{role: auditor, user: {user}}}\n"


def test_logout_ends_it_there_and_here(world: World) -> None:
    """Last, since alice is signed out after it: her token is dead at the broker, not only forgotten here."""
    state = world.alice.home / ".local/state/postern"
    session = (state / "session.json").read_text()
    world.alice.ok("logout")
    ran = world.alice.ssh(f"{ME}@db-1.postern", "true")
    assert ran.stderr.startswith("postern: not signed in; run: postern login\n")
    (state / "session.json").write_text(session)
    assert world.alice.postern("status").returncode == 3
