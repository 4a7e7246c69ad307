"""UNIX sockets for nginx alone."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from broker.errors import PosternError

_BACKLOG = 4096


def listen_at(path: Path) -> socket.socket:
    """A listening socket that only our own user can reach; one left behind by an earlier process is replaced."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PosternError(f"cannot listen on {path}: {(error.strerror or '').lower()}")
    finally:
        os.umask(mask)
    listener.setblocking(False)
    return listener
