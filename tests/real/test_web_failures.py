"""What breaks: the decision service, the app, the configuration. Whatever it is, nobody gets in who may not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import transaction

from broker.audit.origin import system
from broker.services.apps import remove_app
from proxy.web.authz_server import socket_of
from proxy.web.nginx_conf import render
from tests.real.nginx import WebWorld, wait_for, world

__all__ = ["world"]
pytestmark = pytest.mark.real
PAGE = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}


@contextmanager
def in_its_place(world: WebWorld, answer: bytes, *, endless: bytes = b"") -> Iterator[None]:
    """A decision service that says `answer` to everything; with `endless`, that for ever."""
    world.stop_authz()
    path = str(socket_of(world.env, 0))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    listener.settimeout(0.2)
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            try:
                peer, _ = listener.accept()
            except OSError:
                continue
            threading.Thread(target=talk, args=(peer,), daemon=True).start()

    def talk(peer: socket.socket) -> None:
        with peer:
            try:
                peer.recv(65536)
                peer.sendall(answer)
                for _ in range(2000 if endless else 0):
                    peer.sendall(endless)
                if not answer:
                    done.wait(10)
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        listener.close()
        Path(path).unlink()


def test_without_a_decision_there_is_no_access(world: WebWorld) -> None:
    """P13, O07: the decision service is gone; a page, JSON and a refused upload say so."""
    alice = world.session("alice")
    world.stop_authz()
    for headers in (PAGE, {}):
        answer = world.request("GET", "/", headers, session=alice)
        assert answer.status == 503
    assert "cannot decide" in world.request("GET", "/", PAGE, session=alice).text
    assert world.request("POST", "/", PAGE, b"x" * 1000, session=alice).status == 503
    assert world.echo.heads == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200",
        b"\x00" * 1000,
        b"",
    ],
)
def test_a_decision_that_makes_no_sense_is_a_no(world: WebWorld, answer: bytes) -> None:
    """P13: errors, garbage, silence."""
    alice = world.session("alice")
    with in_its_place(world, answer):
        began = time.monotonic()
        assert world.request("GET", "/", session=alice).status in (500, 503)
        assert time.monotonic() - began < 10
    assert world.echo.heads == 0


def test_a_decision_without_end_is_a_no(world: WebWorld) -> None:
    """P13: a head of 100 MB."""
    with in_its_place(world, b"HTTP/1.1 200 OK\r\n", endless=b"X-A: " + b"a" * 50_000 + b"\r\n"):
        assert world.request("GET", "/", session=world.session("alice")).status in (500, 503)
    assert world.echo.heads == 0


def test_headers_that_are_no_text_change_nothing(world: WebWorld) -> None:
    """P13: bytes beyond ASCII in cookies and tokens."""
    alice = world.session("alice")
    assert world.request("GET", "/", {"Cookie": "a=\xff\xfe"}, session=alice).status == 200
    assert world.request("GET", "/", {"Authorization": "Bearer \xff"}).status == 401
    assert world.request("GET", "/", {"Cookie": "\xff" * 9000}, session=alice).status in (200, 400)


def test_an_app_that_is_down_has_a_page_and_an_event(world: WebWorld) -> None:
    alice = world.session("alice")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        world.apply(f"{{kind: app, metadata: {{name: wiki, labels: {{env: dev}}}}, spec: {{uri: '{uri}'}}}}")
        wait_for(lambda: world.request("GET", "/", session=alice).status == 502, "the app still answers")
        page = world.request("GET", "/deep?secret=1", PAGE, session=alice)
    assert page.status == 502
    assert "wiki is not answering" in page.text
    event = world.events("app.unreachable")[0]
    assert (event.actor_name, event.resource_name, event.data["status"]) == ("alice", "wiki", 502)
    assert "secret" not in str(event.data)


def test_an_upstream_nobody_knows_stops_no_other_app(world: WebWorld) -> None:
    world.apply("{kind: app, metadata: {name: files, labels: {env: dev}}, spec: {uri: 'http://no-such-host.invalid'}}")
    alice = world.session("alice", "files")
    wait_for(lambda: world.request("GET", "/", host=world.host("files"), session=alice).status == 502, "it was found")
    assert world.request("GET", "/", session=world.session("alice")).status == 200
    assert world.request("GET", "/", host=world.host("files")).status == 401


def test_metadata_services_are_no_upstream(world: WebWorld) -> None:
    """P40."""
    world.apply("{kind: app, metadata: {name: files, labels: {env: dev}}, spec: {uri: 'http://169.254.169.254'}}")
    alice = world.session("alice", "files")
    wait_for(lambda: world.request("GET", "/", host=world.host("files"), session=alice).status == 502, "it was reached")


def test_a_bad_configuration_leaves_the_last_good_one(world: WebWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """O06: nginx never sees it, and what was open to nobody stays so."""
    conf = world.env.run_dir / "nginx" / "nginx.conf"
    good = conf.read_text()
    monkeypatch.setattr("proxy.web.edge.render", lambda front, sites: render(front, sites) + "nonsense;\n")
    world.apply("{kind: app, metadata: {name: files, labels: {env: dev}}, spec: {uri: 'http://127.0.0.1:1'}}")
    beside = conf.with_name("nginx.conf.new")
    wait_for(lambda: beside.exists() and "nonsense" in beside.read_text(), "it was not tried")
    assert conf.read_text() == good
    assert world.request("GET", "/", session=world.session("alice")).status == 200
    assert world.request("GET", "/").status == 401


def test_a_changed_role_reloads_nothing_and_a_removed_app_is_gone(world: WebWorld) -> None:
    """P34: the host of a removed app is nobody's."""
    conf = world.env.run_dir / "nginx" / "nginx.conf"
    before = conf.stat().st_mtime_ns
    world.apply("{kind: role, metadata: {name: engineer}, spec: {allow: {app_labels: {env: dev}, methods: [GET]}}}")
    alice = world.session("alice")
    wait_for(lambda: world.request("POST", "/", session=alice).status == 403, "the role did not change")
    assert conf.stat().st_mtime_ns == before
    with transaction.atomic():
        remove_app(system("test"), "wiki")
    wait_for(lambda: world.request("GET", "/", session=alice).status == 421, "the host is still there")


def test_no_secret_is_in_any_log(world: WebWorld) -> None:
    """S15: tokens, codes and queries are in neither nginx's nor our own records."""
    alice = world.session("alice")
    bearer = world.session("alice", bearer=True)
    world.request("GET", "/x?password=canary-query", session=alice)
    world.request("GET", "/", {"Authorization": f"Bearer {bearer.token}"})
    world.request("GET", "/invite/canary-invite", host=world.env.host)
    log = world.env.data_dir / "log" / "access.log"
    wait_for(lambda: log.exists() and "/invite/" in log.read_text(), "nothing was logged")
    text = log.read_text() + str([(event.data, event.search) for event in world.events("app.requests")])
    for secret in (alice.token, bearer.token, "canary-query", "canary-invite"):
        assert secret not in text
