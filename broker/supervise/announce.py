"""What a person sees when everything runs."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from broker.environment import Environment
from broker.supervise.output import say


def announce(env: Environment, told: Sequence[str]) -> None:
    """What the set-up has to tell (the first administrator's link), what to know about the address, and `ready`."""
    lines = list(told)
    if not _resolves(env.host):
        lines.append(f"note: browsers and postern know {env.host} here; for other programs add it to /etc/hosts:")
        lines.append(f"      127.0.0.1 {env.host}")
    say("\n".join([*lines, f"ready {env.url}"]))


def _resolves(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP))
    except OSError:
        return False
