"""An app that tells exactly what reached it: raw target, every header, the body. Also WebSockets and streams."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str:
        """The value of a header that is there once or not at all."""
        values = self.all(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else ""


@dataclass
class Echo:
    """The server. `answers` maps a path to bytes to answer with in place of the echo."""

    tls: ssl.SSLContext | None = None
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    heads: int = 0
    answers: dict[str, bytes] = field(default_factory=dict)

    def __enter__(self) -> Echo:
        self._loop = asyncio.new_event_loop()
        started = threading.Event()

        async def run() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls, limit=1 << 20)
            self.port = server.sockets[0].getsockname()[1]
            self._stop = asyncio.Event()
            started.set()
            await self._stop.wait()
            server.close()

        def main() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(run())
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0.01))
            self._loop.close()

        self._thread = threading.Thread(target=main, daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def uri(self) -> str:
        """Where it is."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def last(self) -> Seen:
        """The newest request."""
        return self.seen[-1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError, ssl.SSLError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads += 1
                seen = _seen(head)
                if seen.get("Upgrade").lower() == "websocket":
                    self.seen.append(seen)
                    await _websocket(seen, reader, writer)
                    break
                seen.body = await _body(seen, reader)
                self.seen.append(seen)
                handler = _STREAMS.get(seen.target.partition("?")[0])
                if handler:
                    await handler(seen, writer)
                    break
                writer.write(self._answer(seen))
                await writer.drain()
        writer.close()

    def _answer(self, seen: Seen) -> bytes:
        path = seen.target.partition("?")[0]
        if path in self.answers:
            return self.answers[path]
        body = b""
        if seen.method != "HEAD":
            said: dict[str, Any] = {"method": seen.method, "target": seen.target, "headers": seen.headers}
            body = json.dumps(said | {"size": len(seen.body)}).encode()
        return answer(200, body, ("Content-Type", "application/json"))


def answer(status: int, body: bytes = b"", *headers: tuple[str, str]) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers)]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _seen(head: bytes) -> Seen:
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, _, rest = first.partition(" ")
    headers = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines]
    return Seen(method, rest.rpartition(" ")[0], headers)


async def _body(seen: Seen, reader: asyncio.StreamReader) -> bytes:
    if seen.get("Transfer-Encoding").lower() == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return body
    length = int(seen.get("Content-Length") or 0)
    return await reader.readexactly(length) if length else b""


async def _websocket(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back each message; to `flood` answers with frames without end."""
    accept = base64.b64encode(hashlib.sha1(seen.get("Sec-WebSocket-Key").encode() + GUID).digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    writer.write(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    while True:
        opcode, payload = await _frame(reader)
        if opcode == 8:
            writer.write(bytes((0x88, len(payload))) + payload)
            await writer.drain()
            return
        if payload == b"flood":
            while True:
                writer.write(b"\x82\x7e\xff\xff" + b"x" * 65535)
                await writer.drain()
        if payload.startswith(b"announce "):
            writer.write(b"\x82\x7f" + struct.pack("!Q", int(payload[9:])) + b"x" * 100)
        elif opcode in (1, 2):
            writer.write(_framed(0x80 | opcode, payload))
        await writer.drain()


def _framed(first: int, payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes((first, len(payload))) + payload
    if len(payload) < 65536:
        return bytes((first, 126)) + struct.pack("!H", len(payload)) + payload
    return bytes((first, 127)) + struct.pack("!Q", len(payload)) + payload


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        length = struct.unpack("!H", await reader.readexactly(2))[0]
    elif length == 127:
        length = struct.unpack("!Q", await reader.readexactly(8))[0]
    mask = await reader.readexactly(4) if second & 0x80 else b"\0\0\0\0"
    data = await reader.readexactly(length)
    return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)) if second & 0x80 else data


async def _events(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    number = 0
    while True:
        event = f"data: {number}\n\n".encode()
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
        number += 1
        await asyncio.sleep(0.02)


async def _big(seen: Seen, writer: asyncio.StreamWriter) -> None:
    size = int(seen.target.partition("=")[2])
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size)
    while size:
        piece = min(size, 1 << 16)
        writer.write(b"z" * piece)
        await writer.drain()
        size -= piece


async def _hang(seen: Seen, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def _rogue_101(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nraw bytes")
    await writer.drain()
    await asyncio.sleep(0.2)


_STREAMS: dict[str, Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]] = {
    "/events": _events,
    "/big": _big,
    "/hang": _hang,
    "/rogue-101": _rogue_101,
}
