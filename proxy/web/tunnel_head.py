"""Heads of HTTP/1.1 messages as the tunnel needs them: names found, our own headers taken off, the rest as it was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

OURS = b"x-postern-tunnel-"
_HOP = frozenset({b"connection", b"upgrade", b"keep-alive", b"proxy-connection"})


class BadHead(Exception):
    """Not a head we pass on."""


@dataclass(frozen=True, slots=True)
class Head:
    """A first line and the header lines, in order, as received."""

    first: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    def get(self, name: bytes) -> bytes:
        """The value of a header in lower case; empty if absent. Raises BadHead if it is there twice."""
        found = [value for key, value in self.headers if key.lower() == name]
        if len(found) > 1:
            raise BadHead
        return found[0] if found else b""

    def bytes(self) -> bytes:
        """The head as it goes over the wire."""
        return b"\r\n".join([self.first, *(name + b": " + value for name, value in self.headers), b"", b""])


def read_head(data: bytes) -> Head:
    """Take a head apart. Raises BadHead."""
    first, *lines = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise BadHead
        headers.append((name, value.strip()))
    return Head(first, tuple(headers))


def is_websocket(request: Head) -> bool:
    """Whether the request asks for a WebSocket."""
    return request.get(b"upgrade").lower() == b"websocket"


def for_upstream(request: Head, websocket: bool) -> Head:
    """The request without what nginx told us; one exchange a connection unless it becomes a WebSocket."""
    dropped = frozenset() if websocket else _HOP
    kept = [(name, value) for name, value in request.headers if not _is_dropped(name.lower(), dropped)]
    if not websocket:
        kept.append((b"Connection", b"close"))
    return Head(request.first, tuple(kept))


def _is_dropped(name: bytes, dropped: Iterable[bytes]) -> bool:
    return name.startswith(OURS) or name in dropped


def status_of(response: Head) -> int:
    """The status of a response. Raises BadHead."""
    version, _, rest = response.first.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise BadHead
    return int(rest[:3])
