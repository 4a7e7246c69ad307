"""Questions that tell whether a process is ready to work."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

from broker.environment import Environment
from broker.supervise.preflight import listeners

Question = Callable[[], Coroutine[object, object, bool]]
_TIMEOUT = 3.0


async def at_once() -> bool:
    """Ready as soon as it is started."""
    return True


def accepts(path: Path) -> Question:
    """Whether somebody accepts connections on the UNIX socket."""

    async def ask() -> bool:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_unix_connection(str(path)), _TIMEOUT)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    return ask


def answers_http(path: Path, host: str) -> Question:
    """Whether the web process behind the UNIX socket says that it is ready."""

    async def ask() -> bool:
        try:
            return await asyncio.wait_for(_readyz(asyncio.open_unix_connection(str(path)), host), _TIMEOUT)
        except (OSError, TimeoutError):
            return False

    return ask


def front_door(env: Environment) -> Question:
    """Whether `/readyz` is 200 through nginx, as a browser on this machine would see it."""
    host, port = next(iter(listeners(env)))
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)

    async def ask() -> bool:
        context = _loopback_tls() if env.tls_certificate else None
        name = env.host if context else None
        opening = asyncio.open_connection(host, port, ssl=context, server_hostname=name)
        try:
            return await asyncio.wait_for(_readyz(opening, f"{env.host}{env.netloc_port}", env.secure), _TIMEOUT)
        except (OSError, TimeoutError):
            return False

    return ask


def _loopback_tls() -> ssl.SSLContext:
    """It asks only whether we ourselves answer on our own listener, so whose certificate it is does not matter."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _readyz(
    opening: Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]], host: str, secure: bool = False
) -> bool:
    reader, writer = await opening
    forwarded = "X-Forwarded-Proto: https\r\n" if secure else ""
    try:
        writer.write(f"GET /readyz HTTP/1.1\r\nHost: {host}\r\n{forwarded}Connection: close\r\n\r\n".encode())
        await writer.drain()
        return (await reader.readline()).split(b" ")[1:2] == [b"200"]
    finally:
        writer.close()
