"""From a deactivation over SCIM to the cut: 60 people are made inactive by their client, one after another.

Each has a web session open through the real product's nginx and asks for pages all the time. `p99_ms` starts when the
client has its answer to the PATCH; `asked_p99_ms` when it sent it, so it holds the answer's own time as well. Both stop
at the first refusal.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import httpx2

from bench._web_parts import HOST, percentile, wait_for
from bench.figure import Figure
from tests.real.echo import Echo
from tests.real.product import ROOT, Product

CHANGES = 60
OUT = {
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [{"op": "Replace", "path": "active", "value": "False"}],
}


def run() -> Iterable[Figure]:
    """From the answer, and from the request, to the first refused request."""
    with (
        tempfile.TemporaryDirectory(prefix="ptn") as scratch,
        Echo() as echo,
        Product(Path(scratch) / "data") as product,
    ):
        token, people = _seed(product, echo.uri)
        wait_for(lambda: _status(product, people[0][1]) == 200)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
        with product.http(headers=headers) as client:
            took = [_cut(product, client, ident, cookie) for ident, cookie in people]
    yield Figure("scim", "p99_ms", percentile([after for _, after in took], 0.99), "ms", 500)
    yield Figure("scim", "asked_p50_ms", percentile([whole for whole, _ in took], 0.5), "ms")
    yield Figure("scim", "asked_p99_ms", percentile([whole for whole, _ in took], 0.99), "ms", 500)


def _cut(product: Product, client: httpx2.Client, ident: str, cookie: str) -> tuple[float, float]:
    """Milliseconds until this person is refused, counted from the request and from its answer."""
    refused: list[float] = []

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", product.port), timeout=30) as sock:
            while _answer(sock, product, cookie) == 200:
                pass
            refused.append(time.monotonic())

    assert _status(product, cookie) == 200
    asking = threading.Thread(target=ask)
    asking.start()
    sent = time.monotonic()
    answer = client.patch(f"/scim/v2/Users/{ident}", content=json.dumps(OUT))
    answered = time.monotonic()
    assert answer.status_code == 200, answer.text
    assert answer.json()["active"] is False
    asking.join(60)
    assert refused, f"{ident} was not cut"
    return (refused[0] - sent) * 1000, max(0.0, (refused[0] - answered) * 1000)


def _answer(sock: socket.socket, product: Product, cookie: str) -> int:
    sock.sendall(f"GET /page HTTP/1.1\r\nHost: {HOST}:{product.port}\r\nCookie: {cookie}\r\n\r\n".encode())
    return int(sock.recv(65536).split(b" ")[1])


def _status(product: Product, cookie: str) -> int:
    with socket.create_connection(("127.0.0.1", product.port), timeout=10) as sock:
        return _answer(sock, product, cookie)


def _seed(product: Product, uri: str) -> tuple[str, list[tuple[str, str]]]:
    done = subprocess.run(
        [sys.executable, "-m", "bench._scim_seed", uri, str(CHANGES)],
        cwd=ROOT,
        env=product.environ,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    token, people = json.loads(done.stdout)
    return token, [(ident, cookie) for ident, cookie in people]
