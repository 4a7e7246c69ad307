"""From a change in the directory to the cut: 50 people lose a group in a real OpenLDAP, one after another.

Each has a web session open through the real product's nginx and asks for pages all the time. The clock starts when the
directory has answered the modification (syncprov tells it at about the same moment) and stops at the first refusal.
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
from typing import Any

import ldap

from bench._web_parts import HOST, percentile, wait_for
from bench.figure import Figure
from tests.real.echo import Echo
from tests.real.product import ROOT, Product
from tests.real.slapd import ADMIN, ADMIN_PASSWORD, GROUPS, PEOPLE, Slapd, group, person

CHANGES = 50


def run() -> Iterable[Figure]:
    """Median and p99 from the directory's answer to the first refused request."""
    names = [f"person-{number}" for number in range(CHANGES)]
    entries = [person("keeper"), *(person(name) for name in names), group("bench", "keeper", *names)]
    with (
        tempfile.TemporaryDirectory(prefix="ptn") as scratch,
        Slapd(entries=entries) as slapd,
        Echo() as echo,
        Product(Path(scratch) / "data") as product,
    ):
        cookies = _seed(product, echo.uri, slapd.url)
        wait_for(lambda: _status(product, cookies[0]) == 200)
        wait_for(lambda: product.output.count("all told") >= 2)
        time.sleep(1.0)  # those two readings of everybody
        took = sorted(_cut(product, slapd, name, cookie) for name, cookie in zip(names, cookies, strict=True))
    yield Figure("directory", "p50_ms", percentile(took, 0.5), "ms")
    yield Figure("directory", "p99_ms", percentile(took, 0.99), "ms", 1000)


def _cut(product: Product, slapd: Slapd, name: str, cookie: str) -> float:
    """Milliseconds until this person is refused."""
    refused: list[float] = []

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", product.port), timeout=30) as sock:
            while _answer(sock, product, cookie) == 200:
                pass
            refused.append(time.monotonic())

    assert _status(product, cookie) == 200
    asking = threading.Thread(target=ask)
    asking.start()
    admin: Any = ldap.initialize(slapd.url)
    admin.simple_bind_s(ADMIN, ADMIN_PASSWORD)
    dn = f"uid={name},{PEOPLE}".encode()
    admin.modify_s(f"cn=bench,{GROUPS}", [(ldap.MOD_DELETE, "member", [dn])])
    changed = time.monotonic()
    admin.unbind_s()
    asking.join(90)
    assert refused, f"{name} was not cut"
    return max(0.0, (refused[0] - changed) * 1000)


def _answer(sock: socket.socket, product: Product, cookie: str) -> int:
    head = f"GET /page HTTP/1.1\r\nHost: {HOST}:{product.port}\r\nCookie: {cookie}\r\n\r\n"
    sock.sendall(head.encode())
    return int(sock.recv(65536).split(b" ")[1])


def _status(product: Product, cookie: str) -> int:
    with socket.create_connection(("127.0.0.1", product.port), timeout=10) as sock:
        return _answer(sock, product, cookie)


def _seed(product: Product, uri: str, url: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "bench._directory_seed", uri, url, str(CHANGES)],
        cwd=ROOT,
        env=product.environ,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    cookies: list[str] = json.loads(done.stdout)
    return cookies
