"""Parts of the web benches: the seeded installation, other nginxes, waiting."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.web.nginx_binary import find
from tests.real.product import ROOT, Product

HOST = "wiki.postern.localhost"


class Seeded:
    """A running installation with sessions to use; `end(number)` takes one away and tells when that was committed."""

    def __init__(self, product: Product, uri: str, count: int, *more: str, seed: str = "bench._web_seed") -> None:
        self.product = product
        self._process = subprocess.Popen(
            [sys.executable, "-m", seed, uri, str(count), *more],
            cwd=ROOT,
            env=product.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.cookies: list[str] = json.loads(self._process.stdout.readline())
        wait_for(lambda: self.status(self.cookies[0]) == 200)

    def head(self, cookie: str, path: str = "/") -> bytes:
        """A request with that session."""
        return f"GET {path} HTTP/1.1\r\nHost: {HOST}:{self.product.port}\r\nCookie: {cookie}\r\n\r\n".encode()

    def status(self, cookie: str) -> int:
        """What the app answers now."""
        with socket.create_connection(("127.0.0.1", self.product.port), timeout=10) as sock:
            sock.sendall(self.head(cookie))
            return int(sock.recv(4096).split(b" ")[1])

    def end(self, number: int) -> float:
        """End a login session; the Unix time of the commit."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the helper."""
        self._process.terminate()
        self._process.wait()


@contextmanager
def nginx(directory: Path, conf: str, port: int) -> Iterator[None]:
    """Another nginx with this configuration."""
    (directory / "tmp").mkdir(parents=True, exist_ok=True)
    (directory / "mime.types").write_text("types { text/html html; }\n")
    path = directory / "nginx.conf"
    path.write_text(conf)
    process = subprocess.Popen([find().path, "-p", str(directory), "-c", str(path), "-e", "stderr"])
    try:
        wait_for(lambda: process.poll() is not None or answers(port))
        assert process.poll() is None, "nginx did not start"
        yield
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], bool], within: float = 30.0) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what the bench waits for did not come")
        time.sleep(0.02)


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
