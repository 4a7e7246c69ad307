"""Ending connections that a library will not let go of, by their sockets.

libldap reads on and on while a TLS handshake is not answered, which takes a whole core for as long as the other side
likes. It tells nobody its socket, so it is found among this process's own by whom it leads to.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

_PORTS = {"ldap": 389, "ldaps": 636}


def hang_up(url: str) -> int:
    """Shut down every connection of this process to a directory's address; answers how many.

    Those that were well go too, and are made anew: who does not answer one of us is down for all.
    """
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError:
        return 0
    peers = {str(address[0]) for *_, address in found}
    own = [entry.name for entry in Path("/proc/self/fd").iterdir()]
    return sum(_shut_down(int(name), peers, port) for name in own)


def _shut_down(descriptor: int, peers: set[str], port: int) -> bool:
    """Whether the descriptor was such a connection. It is looked at through a copy, so that no other can slip in."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        if copy.family in (socket.AF_INET, socket.AF_INET6):
            address = copy.getpeername()
            if address[0] in peers and address[1] == port:
                copy.shutdown(socket.SHUT_RDWR)
                return True
    return False
