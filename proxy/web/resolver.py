"""Finding upstreams' addresses ourselves: one unknown name does not stop nginx, and none leads where it must not."""

from __future__ import annotations

import ipaddress
import logging
import socket
import time
from collections.abc import Iterable

from proxy.web.upstream_address import allowed

log = logging.getLogger(__name__)

REFRESH = 30.0
"""Seconds after which a name is looked up again."""


class Resolver:
    """Addresses of host names, remembered for a while. `look_up` may block; `addresses` is memory only."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[float, tuple[str, ...]]] = {}

    def addresses(self, host: str) -> tuple[str, ...]:
        """Where the host was last found; nothing if it is not known."""
        known = self._found.get(host)
        return known[1] if known else ()

    def look_up(self, hosts: Iterable[str]) -> None:
        """Find those that are new or were looked up too long ago, and forget those that nobody asks for any more."""
        wanted = set(hosts)
        now = time.monotonic()
        for host in wanted:
            known = self._found.get(host)
            if known is None or now - known[0] > REFRESH:
                found = _find(host)
                # A name server that fails for a moment must not take a working app away.
                self._found[host] = (now, found if found is not None else known[1] if known else ())
        for host in set(self._found) - wanted:
            del self._found[host]


def _find(host: str) -> tuple[str, ...] | None:
    """The addresses, in order; None when there is no answer."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return allowed([host])
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, whatever the system thinks
        return ("127.0.0.1", "::1")
    try:
        answers = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError as error:
        log.warning("upstream %s cannot be found: %s", host, error)
        return None
    return allowed(sorted({str(answer[4][0]) for answer in answers}))
