"""The tunnel: carries WebSockets and event streams between nginx and apps, so that they can be cut.

Each connection is decided on when it opens, when the feed brings a change, and at the latest when its permit says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from broker.audit import feed
from broker.audit.event import TunnelClosed, TunnelOpened
from broker.live import Live, LiveAccess, LiveApp, LiveLogin
from broker.models import AccessSession
from broker.policy import Access, Attempt, Context, Denial, Subject
from broker.policy.attempt import APP_REQUEST
from proxy.web.audit_writer import AuditWriter
from proxy.web.ledger import origin_of
from proxy.web.resolver import Resolver
from proxy.web.tunnel_head import BadHead, Head, for_upstream, is_websocket, read_head, status_of
from proxy.web.upstream_address import upstream_of
from proxy.web.websocket_frames import CUT, GOING_AWAY, TOO_BIG, FrameTooBig, FrameTracker, close_frame

log = logging.getLogger(__name__)

LONGEST_HEAD = 256 * 1024
HEAD_SECONDS = 15.0
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 300.0
CHUNK = 128 * 1024
FLUSH_SECONDS = 1.0
"""How long a close frame may take to leave before the connection is dropped."""

GRACE = 60.0
"""Seconds that live connections go on while the audit log cannot be followed."""


@dataclass(eq=False, slots=True)
class Tunnel:
    """One connection: who uses what, and how much has passed. `until` is when it must be asked about again."""

    app_id: str
    app_name: str
    access_id: str
    peer: str
    request_id: str
    method: str
    path: str
    uri: str = ""
    subject: Subject | None = None
    until: float = 0.0
    opened_at: float = field(default_factory=time.monotonic)
    bytes_in: int = 0
    bytes_out: int = 0
    seen_bytes: int = 0
    why: str = ""
    relay: asyncio.Task[None] | None = None

    def cut(self, why: str) -> None:
        """End it; whoever relays for it says so to both sides."""
        if not self.why:
            self.why = why
            if self.relay:
                self.relay.cancel()


@dataclass(slots=True)
class Counters:
    """What happened since the start."""

    opened: int = 0
    cut: int = 0
    slowest_cut_ms: float = 0.0


class Tunnels:
    """Every live connection of this process."""

    def __init__(self, live: Live, writer: AuditWriter, resolver: Resolver, frame_limit: int) -> None:
        self._live = live
        self._writer = writer
        self._resolver = resolver
        self._frame_limit = frame_limit
        self._open: set[Tunnel] = set()
        self._contexts: dict[tuple[bool, str], ssl.SSLContext] = {}
        self._stopping = False
        self.counters = Counters()

    # --- deciding -----------------------------------------------------------------------------------------------------

    def refetch(self) -> None:
        """Bring back what the feed made us forget of the sessions that are open here. Asks the database."""
        for tunnel in list(self._open):
            self._fetch(tunnel)

    def _fetch(self, tunnel: Tunnel) -> None:
        if not tunnel.access_id:
            return
        access = self._live.accesses.get(tunnel.access_id)
        if access is None:
            row = AccessSession.objects.filter(pk=UUID(tunnel.access_id)).values_list("token_hash", flat=True).first()
            access = self._live.fetch_access(row) if row else None
        if access and self._live.peek_login(access.login_id, time.time()) is None:
            self._live.fetch_login(access.login_id)

    def decide(self, tunnel: Tunnel, at: float) -> str:
        """Empty when the connection may go on (and until when is noted), else why not."""
        app = self._live.apps.get(tunnel.app_id)
        if app is None:
            return "app-deleted"
        if tunnel.uri and tunnel.uri != app.spec.uri:
            return "app-changed"
        subject: Subject | None = None
        within: Access | None = None
        ends_at = float("inf")
        if tunnel.access_id:
            access = self._live.accesses.get(tunnel.access_id)
            login = self._live.peek_login(access.login_id, at) if access else None
            if access is None or login is None or not _stands(access, login, app, at):
                return "session-ended"
            subject, within, ends_at = self._live.subject(login), access.within, access.expires_at
            if subject is None:
                return "session-ended"
        context = Context(at, tunnel.peer)
        attempt = Attempt(
            subject, APP_REQUEST, app.resource, context, method=tunnel.method, path=tunnel.path, access=within
        )
        decision = self._live.decide(attempt)
        if isinstance(decision, Denial):
            return str(decision.reasons[0])
        tunnel.subject, tunnel.until = subject, min(decision.until, ends_at)
        return ""

    def recheck(self, events: Sequence[feed.FeedEvent] = ()) -> None:
        """Ask about every connection again and cut those that may not go on. Runs on the event loop."""
        now, cut = time.time(), 0
        for tunnel in list(self._open):
            if why := self._decide_safely(tunnel, now):
                tunnel.cut(why)
                cut += 1
        if cut:
            self._note_cut(cut, events)

    def _decide_safely(self, tunnel: Tunnel, at: float) -> str:
        try:
            return self.decide(tunnel, at)
        except Exception:
            log.exception("a tunnel could not be decided on")
            return "policy-error"

    def _note_cut(self, number: int, events: Sequence[feed.FeedEvent]) -> None:
        self.counters.cut += number
        if events:
            took = (time.time() - events[0].at.timestamp()) * 1000
            self.counters.slowest_cut_ms = max(self.counters.slowest_cut_ms, took)
            log.info("cut %d tunnels %.0f ms after event %d (%s)", number, took, events[0].seq, events[0].name)
        else:
            log.info("cut %d tunnels: their time is over", number)

    async def watch(self, behind: Callable[[], float]) -> None:
        """Ask again about those whose permit runs out, for as long as we run. `behind` is the feed's age in seconds."""
        while True:
            await asyncio.sleep(1.0)
            now = time.time()
            if behind() > GRACE:
                for tunnel in list(self._open):
                    tunnel.cut("policy-error")
                continue
            due = [tunnel for tunnel in self._open if tunnel.until <= now]
            if due:
                await self._renew(due)

    async def _renew(self, due: Sequence[Tunnel]) -> None:
        self._note_use(due)
        try:
            await asyncio.to_thread(self._fetch_all, due)
        except Exception as error:
            log.warning("sessions of tunnels could not be looked up: %s", type(error).__name__)
        now, cut = time.time(), 0
        for tunnel in due:
            if tunnel in self._open and (why := self._decide_safely(tunnel, now)):
                tunnel.cut(why)
                cut += 1
        if cut:
            self._note_cut(cut, ())

    def _fetch_all(self, tunnels: Sequence[Tunnel]) -> None:
        for tunnel in tunnels:
            self._fetch(tunnel)

    def _note_use(self, tunnels: Sequence[Tunnel]) -> None:
        """What a person sends through a connection is use of their login session; what an app sends is not."""
        logins, accesses = set(), set()
        for tunnel in tunnels:
            login = tunnel.subject.login if tunnel.subject else None
            if login and tunnel.bytes_in > tunnel.seen_bytes:
                tunnel.seen_bytes = tunnel.bytes_in
                if self._live.touch_login(login.id, time.time()):
                    logins.add(login.id)
                    accesses.add(tunnel.access_id)
        if logins:
            self._writer.keep([], logins, accesses)

    # --- carrying -----------------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from nginx, from its head to its end. Closing without an answer makes nginx say 502."""
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                request = read_head(await reader.readuntil(b"\r\n\r\n"))
            await self._carry(request, reader, writer)
        except (BadHead, OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, ssl.SSLError) as error:
            log.debug("tunnel ended: %s", error)
        except asyncio.CancelledError:
            pass
        except Exception:
            log.exception("tunnel failed")
        finally:
            writer.transport.abort()

    async def _carry(self, request: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tunnel = _tunnel_of(request)
        await asyncio.to_thread(self._fetch, tunnel)
        if self._stopping or (why := self.decide(tunnel, time.time())):
            writer.write(_refusal(why if not self._stopping else "stopping"))
            await writer.drain()
            writer.close()
            return
        app = self._live.apps[tunnel.app_id]
        tunnel.uri, tunnel.app_name = app.spec.uri, app.name
        self._open.add(tunnel)
        tunnel.relay = asyncio.current_task()
        try:
            await self._exchange(tunnel, app, request, reader, writer)
        except asyncio.CancelledError:
            if not tunnel.why:
                raise
        finally:
            self._open.discard(tunnel)

    async def _exchange(
        self, tunnel: Tunnel, app: LiveApp, request: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        websocket = is_websocket(request)
        up_reader, up_writer = await self._connect(app)
        try:
            up_writer.write(for_upstream(request, websocket).bytes())
            await up_writer.drain()
            answer = await self._answer(up_reader, up_writer, reader, tunnel, websocket)
            status = status_of(answer)
            if status == 101 and not websocket:
                raise BadHead
            streaming = answer.get(b"content-type").lower().startswith(b"text/event-stream")
            protocol = "websocket" if status == 101 else "event-stream" if streaming else ""
            relay = _Relay(tunnel, status == 101, self._frame_limit, (reader, writer), (up_reader, up_writer))
            await self._relay(tunnel, protocol, answer, relay)
        finally:
            up_writer.close()
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, up_writer.transport.abort)

    async def _answer(
        self,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
        reader: asyncio.StreamReader,
        tunnel: Tunnel,
        websocket: bool,
    ) -> Head:
        """The head of the upstream's answer; a request's body is passed on meanwhile."""
        answering = asyncio.create_task(_final_head(up_reader))
        tasks = {answering} if websocket else {answering, asyncio.create_task(_pass_on(reader, up_writer, tunnel))}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise ConnectionError("the client has gone")
            return answering.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _relay(self, tunnel: Tunnel, protocol: str, answer: Head, relay: _Relay) -> None:
        origin = origin_of(tunnel.subject, tunnel.peer, tunnel.request_id)
        opened = TunnelOpened(
            id=tunnel.app_id,
            label=tunnel.app_name,
            access_session_id=tunnel.access_id,
            path=tunnel.path[:300],
            protocol=protocol,
            decision="permit",
        )
        written = self._writer.write(origin, opened) if protocol else None
        try:
            if written:
                await asyncio.wrap_future(written)
                self.counters.opened += 1
            await relay.run(answer)
        finally:
            # Cut before its beginning is on record, it will be soon: so must its end.
            if written and not (written.done() and written.exception()):
                self._writer.keep([(origin, _closed(tunnel))], set(), set())

    async def _connect(self, app: LiveApp) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first address that answers. Raises OSError."""
        upstream = upstream_of(app.spec.uri)
        context = self._context(app) if upstream.tls else None
        name = (app.spec.tls.server_name or upstream.host) if context else None
        addresses = self._resolver.addresses(upstream.host)
        failure: OSError = ConnectionError("no address")
        for address in addresses:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await asyncio.open_connection(
                        address, upstream.port, ssl=context, server_hostname=name, limit=LONGEST_HEAD
                    )
            except (OSError, TimeoutError) as error:
                failure = error if isinstance(error, OSError) else ConnectionError("no answer")
        raise failure

    def _context(self, app: LiveApp) -> ssl.SSLContext:
        tls = app.spec.tls
        key = (tls.verify, tls.ca)
        if key not in self._contexts:
            context = ssl.create_default_context(cadata=tls.ca or None)
            if not tls.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._contexts[key] = context
        return self._contexts[key]

    async def stop(self) -> None:
        """Say goodbye to everybody."""
        self._stopping = True
        tasks = [tunnel.relay for tunnel in self._open if tunnel.relay]
        for tunnel in list(self._open):
            tunnel.cut("stopping")
        if tasks:
            await asyncio.wait(tasks, timeout=3.0)


class _Relay:
    """The bytes of one connection, both ways, and the words at its end."""

    def __init__(
        self,
        tunnel: Tunnel,
        websocket: bool,
        frame_limit: int,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._tunnel = tunnel
        self._client, self._upstream = client, upstream
        self._to_client = FrameTracker(frame_limit) if websocket else None
        self._to_upstream = FrameTracker(frame_limit) if websocket else None

    async def run(self, answer: Head) -> None:
        """Carry until one side ends or the tunnel is cut."""
        self._client[1].write(answer.bytes())
        inward = asyncio.create_task(self._inward())
        outward = asyncio.create_task(self._outward())
        try:
            await asyncio.wait({inward, outward}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            inward.cancel()
            outward.cancel()
            results = await asyncio.gather(inward, outward, return_exceptions=True)
            too_big = any(isinstance(result, FrameTooBig) for result in results)
            if too_big and not self._tunnel.why:
                self._tunnel.why = "frame-too-big"
            await self._say_goodbye(TOO_BIG if too_big else CUT)

    async def _inward(self) -> None:
        reader, writer = self._client[0], self._upstream[1]
        while data := await reader.read(CHUNK):
            if self._to_upstream:
                self._to_upstream.feed(data)
            self._tunnel.bytes_in += len(data)
            writer.write(data)
            await writer.drain()

    async def _outward(self) -> None:
        reader, writer = self._upstream[0], self._client[1]
        while data := await reader.read(CHUNK):
            if self._to_client:
                self._to_client.feed(data)
            self._tunnel.bytes_out += len(data)
            writer.write(data)
            await writer.drain()

    async def _say_goodbye(self, code: int) -> None:
        """Close frames where a frame may begin, then the end. What is under way to the client still leaves."""
        writer = self._client[1]
        if self._tunnel.why and self._to_client and self._to_upstream:
            code = GOING_AWAY if self._tunnel.why == "stopping" else code
            if self._to_client.at_boundary:
                writer.write(close_frame(code, self._tunnel.why))
            if self._to_upstream.at_boundary:
                self._upstream[1].write(close_frame(GOING_AWAY, "", secrets.token_bytes(4)))
        elif self._tunnel.why:
            writer.transport.abort()  # a stream that just ends would look complete
            return
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await writer.drain()
                if self._tunnel.why and self._to_upstream:
                    await self._until_client_closes(self._to_upstream)
                writer.close()
                await writer.wait_closed()

    async def _until_client_closes(self, tracker: FrameTracker) -> None:
        """Read on, passing nothing: closing over unread bytes resets the connection, and the close frame is lost."""
        while not tracker.closing and (data := await self._client[0].read(CHUNK)):
            with contextlib.suppress(FrameTooBig):
                tracker.feed(data)


async def _final_head(reader: asyncio.StreamReader) -> Head:
    """The head of the answer that counts: not `100 Continue` and its like."""
    while True:
        head = read_head(await reader.readuntil(b"\r\n\r\n"))
        if status_of(head) == 101 or status_of(head) >= 200:
            return head


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tunnel: Tunnel) -> None:
    while data := await reader.read(CHUNK):
        tunnel.bytes_in += len(data)
        writer.write(data)
        await writer.drain()


def _tunnel_of(request: Head) -> Tunnel:
    method, _, rest = request.first.decode("latin-1").partition(" ")
    target = rest.rpartition(" ")[0]
    app_id = request.get(b"x-postern-tunnel-app").decode()
    if not app_id or not target.startswith("/"):
        raise BadHead
    return Tunnel(
        app_id=app_id,
        app_name="",
        access_id=request.get(b"x-postern-tunnel-access").decode(),
        peer=request.get(b"x-postern-tunnel-peer").decode(),
        request_id=request.get(b"x-postern-tunnel-id").decode(),
        method=method,
        path=target.partition("?")[0],
    )


def _closed(tunnel: Tunnel) -> TunnelClosed:
    return TunnelClosed(
        id=tunnel.app_id,
        label=tunnel.app_name,
        access_session_id=tunnel.access_id,
        path=tunnel.path[:300],
        why=tunnel.why or "closed",
        seconds=round(time.monotonic() - tunnel.opened_at, 3),
        bytes_in=tunnel.bytes_in,
        bytes_out=tunnel.bytes_out,
    )


def _stands(access: LiveAccess, login: LiveLogin, app: LiveApp, at: float) -> bool:
    if access.ended or at >= access.expires_at or access.resource_id != app.id or access.user_id != login.user_id:
        return False
    return not login.ended and at < login.expires_at and at < login.idle_at


def _refusal(why: str) -> bytes:
    body = f'{{"type":"about:blank","title":"access denied","status":403,"reasons":[{{"reason":"{why}"}}]}}'.encode()
    kind = b"Content-Type: application/problem+json\r\n"
    return b"HTTP/1.1 403 Forbidden\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (kind, len(body), body)
