"""nginx's question about one request, and our answers: HTTP/1.1 as nginx speaks it, on a socket that is its alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """One request to an app as nginx saw it, and would pass on to `uri`. `target` is raw; header values are latin-1."""

    app: str
    uri: str
    method: str
    target: str
    peer: str
    request_id: str
    wants: str
    upgrade: str
    origin: str
    cookie: str
    authorization: str

    @property
    def is_page(self) -> bool:
        """Whether a browser asks for a page, which can be asked for again."""
        return self.wants == "html" and self.method in ("GET", "HEAD")


_NAMES = (
    "X-App",
    "X-Uri",
    "X-Method",
    "X-Target",
    "X-Peer",
    "X-Id",
    "X-Wants",
    "X-Upgrade",
    "X-Origin",
    "X-Cookie",
    "X-Auth",
)
"""As the configuration spells them: nginx is the only one who writes here."""


def read_question(head: bytes) -> Question | None:
    """The question in a request head (without the empty line). None unless app, method and target are there, once."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    try:
        said = dict([line.split(": ", 1) for line in lines])
    except ValueError:
        return None
    if len(said) != len(lines):
        return None
    question = Question(*[said.get(name, "") for name in _NAMES])
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
