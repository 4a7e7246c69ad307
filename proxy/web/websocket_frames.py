"""Where WebSocket frames begin and end (RFC 6455), so that a close frame can be put between two of them.

Payloads are not looked at; both directions are followed, each by a tracker of its own.
"""

from __future__ import annotations

import struct

CUT = 4401
"""Close code: access was taken away."""

TOO_BIG = 1009
GOING_AWAY = 1001
_CLOSE = 0x8


class FrameTooBig(Exception):
    """A frame announces more than is let through."""


class FrameTracker:
    """Follows one direction. After `feed()` of all bytes passed on, `at_boundary` says whether a frame could begin."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = b""
        self._payload_left = 0
        self.closing = False
        """Whether a close frame was among them."""

    @property
    def at_boundary(self) -> bool:
        """Whether the last frame is complete and none has begun."""
        return not self._head and not self._payload_left

    def feed(self, data: bytes) -> None:
        """Take note of bytes about to pass. Raises FrameTooBig: then they must not, and have not been taken note of."""
        before = (self._head, self._payload_left)
        try:
            self._feed(data)
        except FrameTooBig:
            self._head, self._payload_left = before
            raise

    def _feed(self, data: bytes) -> None:
        at, end = 0, len(data)
        while at < end:
            if self._payload_left:
                passed = min(self._payload_left, end - at)
                self._payload_left -= passed
                at += passed
                continue
            wanted = _head_length(self._head) - len(self._head)
            self._head += data[at : at + wanted]
            at = min(end, at + wanted)
            if len(self._head) == _head_length(self._head):
                self._begin_payload()

    def _begin_payload(self) -> None:
        length = _payload_length(self._head)
        if length > self._limit:
            raise FrameTooBig
        self._payload_left = length
        self.closing = self.closing or self._head[0] & 0x0F == _CLOSE
        self._head = b""


def _head_length(head: bytes) -> int:
    """How long the head is that begins like this; 2 until that can be told."""
    if len(head) < 2:
        return 2
    return 2 + {126: 2, 127: 8}.get(head[1] & 0x7F, 0) + (4 if head[1] & 0x80 else 0)


def _payload_length(head: bytes) -> int:
    short = head[1] & 0x7F
    if short == 126:
        return int(struct.unpack_from("!H", head, 2)[0])
    if short == 127:
        return int(struct.unpack_from("!Q", head, 2)[0])
    return short


def close_frame(code: int, reason: str = "", mask: bytes = b"") -> bytes:
    """A close frame with its code and a reason, cut to what fits. `mask`: 4 bytes, towards servers."""
    payload = struct.pack("!H", code) + reason.encode()[:123].decode("utf-8", "ignore").encode()
    if not mask:
        return bytes((0x88, len(payload))) + payload
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes((0x88, 0x80 | len(payload))) + mask + masked
