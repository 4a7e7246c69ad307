"""nginx's question about one request, and our answers: HTTP/1.1 as nginx speaks it, on a socket that is its alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """One request to an app as nginx saw it. `target` is raw; header values are latin-1."""

    app: str
    method: str
    target: str
    peer: str
    request_id: str
    wants: str
    upgrade: str
    origin: str
    cookie: str
    authorization: str


_NAMES = (
    *(b"x-app", b"x-method", b"x-target", b"x-peer", b"x-id"),
    *(b"x-wants", b"x-upgrade", b"x-origin", b"x-cookie", b"x-auth"),
)


def read_question(head: bytes) -> Question | None:
    """The question in a request head (without the empty line). None unless app, method and target are there, once."""
    said: dict[bytes, str] = {}
    lines = head.split(b"\r\n")
    for line in lines[1:]:
        name, colon, value = line.partition(b": ")
        name = name.lower()
        if not colon or name in said:
            return None
        said[name] = value.decode("latin-1")
    question = Question(*(said.get(name, "") for name in _NAMES))
    return question if question.app and question.method and question.target else None


_PHRASES = {200: b"OK", 401: b"Unauthorized", 403: b"Forbidden", 503: b"Service Unavailable"}


def answer_head(status: int, headers: list[tuple[str, str]]) -> bytes:
    """An answer up to, and without, the empty line. Values are made safe for a header; empty ones are left out."""
    lines = [b"HTTP/1.1 %d %s\r\nContent-Length: 0" % (status, _PHRASES[status])]
    lines += [name.encode() + b": " + header_value(value) for name, value in headers if value]
    return b"\r\n".join(lines)


def header_value(text: str) -> bytes:
    """Text as a header's value: UTF-8, without anything that could end the line or be cut off it."""
    return "".join(c if c.isprintable() else "?" for c in text).strip().encode("utf-8", "replace")


UNABLE = answer_head(503, []) + b"\r\n\r\n"
"""We cannot decide: nginx lets nothing through."""
