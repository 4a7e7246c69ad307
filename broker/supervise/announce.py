"""What a person sees when everything runs."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from broker.environment import Environment
from broker.supervise.output import say


def announce(env: Environment, first: dict[str, Any], more: Iterable[str] = ()) -> None:
    """The way in for the first administrator, what to know about the address, `more`, and last the `ready` line."""
    lines = list(first.get("lines", ()))
    if not _resolves(env.host):
        lines.append(f"note: only browsers know {env.host} here; for other programs add it to /etc/hosts:")
        lines.append(f"      127.0.0.1 {env.host}")
    say("\n".join([*lines, *more, f"ready {env.url}"]))


def _resolves(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP))
    except OSError:
        return False
