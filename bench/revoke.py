"""From the commit that takes access away to the last cut: 100 live WebSockets while others ask for pages all the time.

Each of 100 people has a WebSocket open; twenty others keep asking for pages. One login session after another is ended,
and the clock stops when that person's WebSocket is closed *and* their requests are refused. Once with Valkey, once
without it.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from bench._web_parts import HOST, Seeded, percentile
from bench.figure import Figure
from tests.real.echo import Echo
from tests.real.product import Product

SOCKETS = 100
BUSY = 20
BUSY_EVERY = 0.05


def run() -> Iterable[Figure]:
    """p99 from commit to cut, both ways of learning of it."""
    yield Figure("revoke", "p99_ms", _p99({}), "ms", 200)
    yield Figure("revoke", "p99_ms_without_valkey", _p99({"POSTERN_REDIS_URL": "unix:///nonexistent.sock"}), "ms", 2000)


def _p99(environ: dict[str, str]) -> float:
    with (
        tempfile.TemporaryDirectory(prefix="ptn") as scratch,
        Echo() as echo,
        Product(Path(scratch) / "data", env=environ) as product,
    ):
        seeded = Seeded(product, echo.uri, SOCKETS + BUSY)
        try:
            with contextlib.ExitStack() as stack:
                sockets = [stack.enter_context(websocket(seeded, number)) for number in range(SOCKETS)]
                stack.enter_context(busy(seeded))
                return percentile([cut(seeded, number, sockets[number]) for number in range(SOCKETS)], 0.99)
        finally:
            seeded.close()


def websocket(seeded: Seeded, number: int) -> ClientConnection:
    """A WebSocket of that person's, open."""
    port = seeded.product.port
    ws: ClientConnection = connect(
        f"ws://{HOST}:{port}/ws",
        sock=socket.create_connection(("127.0.0.1", port)),
        additional_headers={"Cookie": seeded.cookies[number]},
        origin=Origin(f"http://{HOST}:{port}"),
        compression=None,
        ping_interval=None,
        legacy=True,
    )
    ws.send("here")
    assert ws.recv(10) == "here"
    return ws


def cut(seeded: Seeded, number: int, ws: ClientConnection) -> float:
    """Milliseconds until this person has nothing any more."""
    ends: list[float] = []

    def until_closed() -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                ws.recv(30)
        ends.append(time.time())

    def until_refused() -> None:
        while seeded.status(seeded.cookies[number]) == 200:
            pass
        ends.append(time.time())

    watchers = [threading.Thread(target=until_closed)]
    watchers[0].start()
    committed = seeded.end(number)
    watchers.append(threading.Thread(target=until_refused))
    watchers[1].start()
    for watcher in watchers:
        watcher.join(40)
    assert len(ends) == 2, "something was not cut"
    return max(0.0, (max(ends) - committed) * 1000)


@contextlib.contextmanager
def busy(seeded: Seeded) -> Iterator[None]:
    """People at work meanwhile, each on a connection of their own."""
    done = threading.Event()

    def work(cookie: str) -> None:
        with socket.create_connection(("127.0.0.1", seeded.product.port), timeout=30) as sock:
            while not done.wait(BUSY_EVERY):
                sock.sendall(seeded.head(cookie, "/page"))
                assert sock.recv(65536).startswith(b"HTTP/1.1 200")

    workers = [threading.Thread(target=work, args=(cookie,)) for cookie in seeded.cookies[SOCKETS:]]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        done.set()
        for worker in workers:
            worker.join()
