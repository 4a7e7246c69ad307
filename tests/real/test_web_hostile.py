"""Attacks on the way into an app that need the real parts together."""

from __future__ import annotations

import threading
from hashlib import sha256
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus

from accounts.services.login_sessions import rotate_token
from broker.audit.origin import system
from broker.models import AccessSession
from broker.services import app_sessions
from proxy.web import audit_writer
from tests.real.nginx import WebWorld, wait_for, world
from tests.real.product import free_port

__all__ = ["world"]
pytestmark = pytest.mark.real

PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}


def test_nobody_is_signed_in_as_somebody_else_by_a_link(world: WebWorld) -> None:
    """L07, X03: charlie's browser has no state; alice launches for the hash of nothing and sends charlie the link."""
    hers = {"Cookie": f"__Host-postern={rotate_token(world.login('alice'))}"}
    for state in (sha256(b"").hexdigest(), "0" * 64):
        launched = world.request("GET", f"/launch/wiki?state={state}", PAGE | hers, host=world.env.host)
        parts = urlsplit(launched.get("Location"))
        link = f"{parts.path}?{parts.query}"
        for cookies in ({}, {"Cookie": "__Host-postern-state="}, {"Cookie": "__Host-postern-state=x"}):
            answer = world.request("GET", link, PAGE | cookies)
            assert answer.status == 400, answer.headers
            assert answer.all("Set-Cookie") == []
    assert AccessSession.objects.count() == 0


def test_an_upload_without_end_to_an_app_that_is_down_is_answered_at_once(world: WebWorld) -> None:
    """P28: the page about the failure is not asked for with a body that never comes; nor is one read for it."""
    alice = world.session("alice")
    world.apply(
        f"{{kind: app, metadata: {{name: wiki, labels: {{env: dev}}}}, spec: {{uri: 'http://127.0.0.1:{free_port()}'}}}}"
    )
    wait_for(lambda: world.request("GET", "/", session=alice).status == 502, "the app still answers")
    chunked = f"Host: {world.host()}\r\nCookie: {alice.cookie}\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = world.raw(f"POST /up HTTP/1.1\r\n{chunked}".encode(), within=5.0)
    assert answer.status == 502
    assert answer.json()["detail"] == "wiki does not answer"


def test_what_was_decided_for_one_upstream_opens_no_other(world: WebWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """P19: an app is pointed elsewhere and opened to more people, and nginx does not take the change, or not yet."""
    app = "{{kind: app, metadata: {{name: vault, labels: {{env: {env}}}}}, spec: {{uri: '{uri}'}}}}"
    world.apply(app.format(env="prod", uri=world.echo.uri))
    alice, host = world.session("alice", "vault"), world.host("vault")
    wait_for(lambda: world.request("GET", "/", host=host, session=alice).status == 403, "nginx does not know the app")
    monkeypatch.setattr("proxy.web.edge.render", lambda front, sites: "nonsense;\n")
    world.apply(app.format(env="dev", uri=f"http://127.0.0.1:{free_port()}"))
    wait_for(lambda: world.request("GET", "/", host=host, session=alice).status != 403, "the labels did not change")
    assert world.request("GET", "/", host=host, session=alice).status == 503
    assert world.echo.heads == 0


def test_a_tunnel_cut_while_it_opens_is_over_on_record_too(world: WebWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """S12, A01: the session ends between the decision and the first byte; others still open tunnels afterwards."""
    commit, reached, go_on = audit_writer._commit, threading.Event(), threading.Event()

    def slow(jobs: list[audit_writer._Job]) -> None:
        if any(event.name == "app.tunnel.opened" for job in jobs for _, event in job.entries):
            reached.set()
            assert go_on.wait(10)
        commit(jobs)

    monkeypatch.setattr(audit_writer, "_commit", slow)
    alice, bob = world.session("alice"), world.session("bob")

    def opened() -> None:
        with pytest.raises(InvalidStatus):
            world.websocket(alice)

    opening = threading.Thread(target=opened)
    opening.start()
    assert reached.wait(10)
    app_sessions.end(system("test"), alice.access)
    wait_for(lambda: not world.edge._tunnels._open, "it was not cut")
    go_on.set()
    opening.join(10)
    assert not opening.is_alive()
    wait_for(lambda: world.events("app.tunnel.closed"), "it is open on record")
    assert [event.data["why"] for event in world.events("app.tunnel.closed")] == ["session-ended"]
    with world.websocket(bob) as socket:
        socket.send("hello")
        assert socket.recv(timeout=5) == "hello"
