"""The server that takes our mails, as one address says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

MAIL_ADDRESS = r"(?!.*=\?)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}"
"""One plain address: nothing that could begin a second one, or another line, also once `=?…?=` (RFC 2047) is read."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails are handed in. `tls` from the first byte (smtps), else by STARTTLS."""

    host: str
    port: int
    tls: bool
    user: str
    password: str = field(repr=False)


def mail_server(url: str) -> MailServer:
    """What an address such as `smtps://user:password@mail.example.com` says. Raises ValueError, without the address."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its words may quote the password
        raise ValueError("cannot be read as an address; write strange characters as %XX") from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError("must look like smtp://user:password@mail.example.com:587 or smtps://…")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("the port must be a number") from None
    tls = parts.scheme == "smtps"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return MailServer(parts.hostname, port or (465 if tls else 587), tls, user, password)
