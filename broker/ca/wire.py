"""The SSH wire format of RFC 4251 section 5: how values become bytes, and back, with nothing left over."""

from __future__ import annotations


def uint32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def uint64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def string(value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return uint32(len(data)) + data


def mpint(value: int) -> bytes:
    """A non-negative integer, shortest form: a leading zero byte only where the sign bit needs it."""
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big") if value else b"")


class Malformed(ValueError):
    """The bytes are not what the format says; the text is for a person."""


class Reader:
    """Reads values off the front of some bytes; raises `Malformed` rather than guess."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise Malformed("it is cut short")
        part = self._data[self._at : end]
        self._at = end
        return part

    def uint32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def uint64(self) -> int:
        return int.from_bytes(self.take(8), "big")

    def string(self) -> bytes:
        return self.take(self.uint32())

    def mpint(self) -> int:
        """A positive integer in the only form `mpint()` writes."""
        data = self.string()
        value = int.from_bytes(data, "big")
        if mpint(value) != string(data):
            raise Malformed("a number in it is negative or not in its shortest form")
        return value

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def end(self) -> None:
        if self._at != len(self._data):
            raise Malformed("it has trailing bytes")
