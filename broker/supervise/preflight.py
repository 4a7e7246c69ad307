"""What must hold before anything is started: our directories, one supervisor for each, free ports."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from broker.environment import Environment
from broker.errors import PosternError


def take_lock(path: Path, address: str = "") -> TextIO:
    """Hold `path` while the file returned is open; it tells our pid and address. Raises `PosternError` when taken."""
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+")
    except OSError as error:
        raise PosternError(f"{path} cannot be opened: {(error.strerror or '').lower()}")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        with file:
            pid = file.readline(32).strip()
        raise PosternError(
            f"Postern runs already on {path.parent}" + (f" (process {pid})" if pid else ""),
            "stop that one, or give this one its own POSTERN_DATA_DIR and --port",
        )
    file.truncate(0)
    file.write(f"{os.getpid()}\n{address}\n")
    file.flush()
    return file


def listeners(env: Environment) -> Iterator[tuple[str, int]]:
    """The addresses and ports nginx is to listen on. Raises `PosternError` on one that cannot be meant."""
    for item in (env.listen or f"127.0.0.1:{env.port}").replace(",", " ").split():
        host, _, port = item.rpartition(":")
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise PosternError(f"POSTERN_LISTEN: {item!r} is not an address with a port", "write 127.0.0.1:8080")
        yield host.strip("[]") if host not in ("", "*") else "0.0.0.0", int(port)


def check_ports(env: Environment) -> None:
    """Raises `PosternError` when an address is taken or not for us."""
    for host, port in listeners(env):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen(1)
            except OSError as error:
                raise _cannot_listen(host, port, error) from None


def _cannot_listen(host: str, port: int, error: OSError) -> PosternError:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return PosternError(
            f"port {port} is in use: another program listens on {where}", "choose another with --port N"
        )
    if error.errno == errno.EACCES:
        return PosternError(f"port {port} is for root only", "choose one above 1023 with --port N")
    return PosternError(f"cannot listen on {where}: {(error.strerror or str(error)).lower()}", "see POSTERN_LISTEN")
