"""The web path as it runs: real nginx, decision service, tunnel, web process and an echo app, on free loopback ports.

The parts of ours run on an event loop in a thread of the test, on the test's database; nginx is a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import uvicorn
from django.conf import settings
from django.db import connections
from django.test import override_settings
from django.utils import timezone
from websockets.sync.client import ClientConnection, connect

from accounts.models import LoginSession, User
from broker import live as live_state
from broker.audit.origin import system
from broker.environment import Environment
from broker.models import AccessSession, App, AuditEvent
from broker.policy import Subject
from broker.services.apply import Source, apply
from broker.services.decisions import subject_now
from broker.services.presets import ensure_builtin_roles
from broker.services.signing_keys import ensure_signing_key
from broker.setup.directories import make_all
from broker.tokens import digest, new_token
from proxy.web.authz_server import AuthzServer, socket_of
from proxy.web.edge import Edge
from tests.real.echo import Echo
from tests.real.product import free_port

DOCUMENTS = """
{{kind: group, metadata: {{name: ops}}}}
---
{{kind: user, metadata: {{name: alice}}, spec: {{full_name: Alice, email: alice@example.com, groups: [ops]}}}}
---
{{kind: user, metadata: {{name: bob}}, spec: {{email: bob@example.com}}}}
---
{{kind: user, metadata: {{name: charlie}}}}
---
{{kind: user, metadata: {{name: adam}}}}
---
{{kind: role_binding, spec: {{role: administrator, user: adam}}}}
---
kind: role
metadata: {{name: engineer}}
spec: {{allow: {{app_labels: {{env: dev}}, methods: [GET, POST, PUT, DELETE, PATCH, OPTIONS]}}}}
---
kind: role
metadata: {{name: reader}}
spec: {{allow: {{app_labels: {{name: wiki}}, methods: [GET], paths: ['/', '/read/*', '/ws']}}}}
---
kind: app
metadata: {{name: wiki, labels: {{env: dev, name: wiki}}}}
spec: {{uri: '{uri}', public_paths: ['/public/*']}}
---
kind: app
metadata: {{name: files, labels: {{env: dev}}}}
spec: {{uri: '{uri}'}}
---
{{kind: role_binding, spec: {{role: engineer, group: ops}}}}
---
{{kind: role_binding, spec: {{role: reader, user: bob}}}}
"""


@dataclass
class Answer:
    """An HTTP answer as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str:
        """The first value of a header."""
        return next(iter(self.all(name)), "")

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Session:
    """An app session of somebody: `cookie` is the header to send."""

    token: str
    access: AccessSession
    login: LoginSession

    @property
    def cookie(self) -> str:
        """The Cookie header with it."""
        return f"__Host-postern-app={self.token}"


@dataclass
class WebWorld:
    """Everything that runs, and hands to use it."""

    env: Environment
    echo: Echo
    authz: AuthzServer
    edge: Edge
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _failures: list[BaseException] = field(default_factory=list)

    # --- running ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the parts and wait until nginx answers for the broker."""
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        wait_for(lambda: self._failures or self._answers(), "nginx did not answer")
        assert not self._failures, self._failures

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return self.request("GET", "/readyz", host=self.env.host).status == 200
        return False

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._stopping, self._no_authz = asyncio.Event(), asyncio.Event()
        config = uvicorn.Config(
            "broker.asgi:application", uds=str(self.env.socket("web")), lifespan="off", log_level="warning"
        )
        self._web = uvicorn.Server(config)
        self._web.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._web.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]

        async def run() -> None:
            parts = [self.authz.run(self._no_authz), self.edge.run(self._stopping), self._web.serve()]
            done = await asyncio.gather(*parts, return_exceptions=True)
            self._failures += [error for error in done if isinstance(error, BaseException)]

        self._loop.run_until_complete(run())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def stop_authz(self) -> None:
        """End the decision service alone."""
        self._loop.call_soon_threadsafe(self._no_authz.set)
        path = socket_of(self.env, 0)
        wait_for(lambda: not path.exists(), "the decision service did not end")

    def stop(self) -> None:
        """End everything."""
        if not self._loop.is_closed():
            for event in (self._stopping, self._no_authz):
                self._loop.call_soon_threadsafe(event.set)
            self._web.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    # --- using --------------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Where nginx listens."""
        return self.env.port

    def host(self, app: str = "wiki") -> str:
        """An app's host."""
        return f"{app}.{self.env.host}"

    def origin(self, app: str = "wiki") -> str:
        """An app's origin."""
        return self.env.app_url(self.host(app))

    def raw(self, data: bytes, within: float = 15.0) -> Answer:
        """Send bytes and read one answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=within) as sock:
            sock.sendall(data)
            return read_answer(sock, data.startswith(b"HEAD"))

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        host: str = "",
        session: Session | None = None,
        more: str = "",
    ) -> Answer:
        """One request, exactly as said. `more` is put below the other header lines as it is."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host or self.host()}:{self.port}", "Connection: close"]
        said = dict(headers or {})
        if session:
            said["Cookie"] = "; ".join(part for part in (session.cookie, said.pop("Cookie", "")) if part)
        lines += [f"{name}: {value}" for name, value in said.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        text = "\r\n".join(lines) + "\r\n" + more + "\r\n"
        return self.raw(text.encode("latin-1") + body)

    def websocket(
        self, session: Session | None, path: str = "/ws", app: str = "wiki", origin: str | None = "", **options: Any
    ) -> ClientConnection:
        """An open WebSocket, from the app's own page unless told otherwise."""
        headers = {"Cookie": session.cookie} if session else {}
        return connect(
            f"ws://{self.host(app)}:{self.port}{path}",
            sock=socket.create_connection(("127.0.0.1", self.port)),
            additional_headers=headers | options.pop("additional_headers", {}),
            origin=self.origin(app) if origin == "" else origin,  # type: ignore[arg-type]
            compression=None,
            max_size=None,
            **options,
        )

    def login(self, name: str, **fields: Any) -> LoginSession:
        """A login session of somebody, as after signing in with a second factor."""
        now = timezone.now()
        said: dict[str, Any] = {
            "created_at": now,
            "last_seen_at": now,
            "expires_at": now + timedelta(hours=8),
            "mfa_at": now,
        }
        said |= {"user": User.objects.get(username=name), "token_hash": digest(new_token("")), "amr": ["pwd", "otp"]}
        return LoginSession.objects.create(**(said | fields))

    def session(
        self, name: str, app: str = "wiki", *, bearer: bool = False, login: LoginSession | None = None, **fields: Any
    ) -> Session:
        """An app session of somebody, as after a launch."""
        login = login or self.login(name)
        token, row, now = new_token("ptn_app_" if bearer else ""), App.objects.get(name=app), timezone.now()
        said = {
            "protocol": "app",
            "credential": "bearer" if bearer else "cookie",
            "token_hash": digest(token),
            "login_session_id": login.pk,
            "user_id": login.user_id,
            "user_name": name,
            "resource_id": row.pk,
            "resource_name": app,
            "started_at": now,
            "last_used_at": now,
            "expires_at": login.expires_at,
        }
        return Session(token, AccessSession.objects.create(**(said | fields)), login)

    def administrator(self) -> Subject:
        """adam, signed in."""
        subject = subject_now(str(self.login("adam").pk))
        assert subject
        return subject

    def events(self, name: str) -> list[AuditEvent]:
        """The events of that name, oldest first."""
        return list(AuditEvent.objects.filter(name=name).order_by("seq"))

    def apply(self, documents: str) -> None:
        """Apply documents as the installation itself."""
        apply(system("test"), None, [Source("test.yaml", documents)])


def read_answer(sock: socket.socket, head_only: bool = False) -> Answer:
    """One HTTP answer from a socket; its body until the length or the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise ValueError(f"no answer, only {data!r}")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines]
    answer = Answer(int(first.split(" ")[1]), headers, body)
    chunked = answer.get("Transfer-Encoding") == "chunked"
    length = answer.get("Content-Length")
    while not head_only and not (answer.body.endswith(b"0\r\n\r\n") if chunked else _complete(answer, length)):
        piece = sock.recv(65536)
        if not piece:
            break
        answer.body += piece
    if chunked:
        answer.body = _unchunked(answer.body)
    return answer


def _complete(answer: Answer, length: str) -> bool:
    return answer.status in (204, 304) or (bool(length) and len(answer.body) >= int(length))


def _unchunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size or b"0", 16)
        if not length:
            break
        body, data = body + data[:length], data[length + 2 :]
    return body


def wait_for(condition: Callable[[], object], otherwise: str, within: float = 15.0) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


@contextlib.contextmanager
def web_world(uri: str = "", **changes: Any) -> Iterator[WebWorld]:
    """A running world on the test's database. `uri`: another app than the echo. `changes`: settings."""
    port = free_port()
    said = {"url": f"http://postern.localhost:{port}", "feed_poll": 0.1, "listen": "", **changes}
    env = settings.POSTERN.model_copy(update=said)
    make_all(env)
    with Echo() as echo, override_settings(POSTERN=env, CSRF_TRUSTED_ORIGINS=[env.url]):
        ensure_builtin_roles()
        ensure_signing_key()
        apply(system("test"), None, [Source("world.yaml", DOCUMENTS.format(uri=uri or echo.uri))])
        world = WebWorld(env, echo, AuthzServer(env, socket_of(env, 0)), Edge(env))
        try:
            world.start()
            yield world
        finally:
            world.stop()
            live_state.forget()
            connections.close_all()


@pytest.fixture
def world(transactional_db: None) -> Iterator[WebWorld]:
    """A running world."""
    with web_world() as running:
        yield running


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """A server's TLS context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
