"""The decision service as a process: nginx's connections on a UNIX socket, the feed, the clock, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path

import uvloop

from broker.audit import feed
from broker.environment import Environment
from broker.live import Live
from broker.services.signing_keys import active_key
from proxy.web.audit_writer import AuditWriter
from proxy.web.authz import Authz
from proxy.web.identity_header import Assertions
from proxy.web.ledger import Ledger
from proxy.web.listening import listen_at
from proxy.web.question import UNABLE

log = logging.getLogger(__name__)

LONGEST_QUESTION = 256 * 1024
SWITCH_SECONDS = 0.0001
"""How long a thread that writes or follows may hold the interpreter while a question waits (Python: 5 ms)."""

STALE_AFTER = 15.0
"""Seconds without word from the audit log after which nothing more is permitted: what we know may be old."""


class Conversation(asyncio.Protocol):
    """One connection of nginx: question, answer, question …"""

    def __init__(self, authz: Authz) -> None:
        self._authz = authz
        self._rest = b""
        self._pending: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._rest = self._rest + data if self._rest else data
        if self._pending is None:
            self._answer_what_is_there()

    def _answer_what_is_there(self) -> None:
        while self._transport is not None and not self._transport.is_closing():
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                if len(head) > LONGEST_QUESTION:
                    self._transport.close()
                return
            self._rest = rest
            answer = self._authz.answer(head)
            if isinstance(answer, bytes):
                self._transport.write(answer)
            else:
                self._pending = asyncio.ensure_future(self._answer_later(answer))
                return

    async def _answer_later(self, answer: Coroutine[None, None, bytes]) -> None:
        try:
            data = await answer
        except Exception:
            log.exception("a question could not be answered")
            data = UNABLE
        self._pending = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            self._answer_what_is_there()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None


class AuthzServer:
    """Everything one decision process holds."""

    def __init__(self, env: Environment, path: Path) -> None:
        self._path = path
        self._live = Live()
        self._live.load()
        self._writer = AuditWriter()
        self._ledger = Ledger(self._writer)
        assertions = Assertions(env.url, active_key())
        self._authz = Authz(env, self._live, self._ledger, assertions, self._is_fit)
        self._follower: feed.Follower | None = None

    def _is_fit(self) -> bool:
        follower = self._follower
        behind = time.monotonic() - follower.caught_up_at if follower else STALE_AFTER
        return behind < STALE_AFTER and self._writer.able()

    def _on_events(self, events: Sequence[feed.FeedEvent]) -> None:
        """In the follower's thread: the live state is up to date already; the signing key is ours to follow."""
        if any(event.name == "ca.created" for event in events):
            self._authz.assertions.key = active_key()

    async def run(self, stopping: asyncio.Event) -> None:
        """Answer until told to end."""
        self._writer.start()
        self._follower = self._live.follow(self._on_events)
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: Conversation(self._authz), sock=listen_at(self._path)
        )
        log.info("deciding on %s, state at %d", self._path.name, self._live.seq)
        ticking = asyncio.create_task(self._tick())
        await stopping.wait()
        server.close()
        ticking.cancel()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        await asyncio.sleep(0.1)  # what nginx has asked already is still answered
        self._end()

    async def _tick(self) -> None:
        second = 0
        while True:
            await asyncio.sleep(1.0)
            second += 1
            self._ledger.flush()
            if second % 30 == 0:
                self._authz.forget_old(time.time())

    def _end(self) -> None:
        self._ledger.flush()
        if self._follower:
            self._follower.stop()
        self._authz.close()
        self._writer.stop()


def _settle_memory() -> None:
    """What is loaded now stays: the collector need not look at it again and again, which would cost milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def serve(env: Environment, path: Path) -> None:
    """Run one decision process."""
    server = AuthzServer(env, path)
    _settle_memory()
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(server))


async def _until_told(server: AuthzServer) -> None:
    await server.run(told_by_signals())


def told_by_signals() -> asyncio.Event:
    """An event that SIGTERM or Ctrl-C sets."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def socket_of(env: Environment, number: int) -> Path:
    """The socket of decision process `number`, counted from 0."""
    return env.socket("authz" if number == 0 else f"authz-{number}")
