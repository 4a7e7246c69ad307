"""What a decision with each request costs: the same nginx and upstream with and without, in turn, on this machine.

`ratio_to_bare_nginx` is authenticated requests a second through Postern ÷ through the same configuration without its
question (wrk, 32 connections, medians of four rounds each). `added_p99_ms` is the p99 at 1,000 requests a second, sent
on time whatever the answers do, less that of the bare side.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import uvloop

from bench._web_parts import HOST, Seeded, nginx, percentile
from bench.figure import Figure
from tests.real.product import Product, free_port

ROUNDS = 4
SECONDS = 4
CONNECTIONS = 32
RATE = 1000
RATE_SECONDS = 5.0
LANES = 16
_UPSTREAM = """daemon off; pid upstream.pid; worker_processes 1; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 10000000; client_body_temp_path tmp/b; proxy_temp_path tmp/p;
fastcgi_temp_path tmp/f; uwsgi_temp_path tmp/u; scgi_temp_path tmp/s;
server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello"; }} }} }}
"""


def run() -> Iterable[Figure]:
    """The ratio and the added latency."""
    if not shutil.which("wrk") and not _installed("wrk"):
        raise SystemExit("error: this bench needs wrk\nhint: apt-get install wrk")
    upstream, bare = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="ptn") as scratch:
        place = Path(scratch)
        with (
            nginx(place / "upstream", _UPSTREAM.format(port=upstream), upstream),
            Product(place / "data") as product,
        ):
            seeded = Seeded(product, f"http://127.0.0.1:{upstream}", 1)
            conf = without_question(product.data_dir / "run" / "nginx" / "nginx.conf", product.port, bare)
            with nginx(place / "bare", conf, bare):
                yield from _measure(seeded, product.port, bare)
            seeded.close()


def without_question(conf: Path, port: int, bare: int) -> str:
    """The configuration in force, less its questions, on another port."""
    text = re.sub(r"^\s*auth_request .*\n", "", conf.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^pid .*$", "pid nginx.pid;", text, flags=re.MULTILINE)
    text = re.sub(r'access_log "[^"]*"', 'access_log "access.log"', text)
    return text.replace(f"listen 127.0.0.1:{port}", f"listen 127.0.0.1:{bare}")


def _measure(seeded: Seeded, port: int, bare: int) -> Iterable[Figure]:
    cookie = seeded.cookies[0]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(_wrk(bare, cookie))
        ours.append(_wrk(port, cookie))
    yield Figure("web", "requests_per_s", statistics.median(ours), "1/s", better="higher")
    yield Figure("web", "bare_requests_per_s", statistics.median(theirs), "1/s", better="higher")
    ratio = statistics.median(ours) / statistics.median(theirs)
    yield Figure("web", "ratio_to_bare_nginx", ratio, "1", 0.30, "higher")
    with_it: list[float] = []
    without: list[float] = []
    for _ in range(2):
        without += at_rate(bare, seeded.head(cookie))
        with_it += at_rate(port, seeded.head(cookie))
    yield Figure("web", "p99_ms", percentile(with_it, 0.99), "ms")
    yield Figure("web", "added_p99_ms", percentile(with_it, 0.99) - percentile(without, 0.99), "ms", 2.0)


def _installed(package: str) -> bool:
    """Install a package of the system's, as root on Debian and Ubuntu."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    for words in (["update"], ["install", "-y", "--no-install-recommends", package]):
        subprocess.run(["apt-get", "-qq", *words], stdout=sys.stderr, stdin=subprocess.DEVNULL, timeout=300)
    return shutil.which(package) is not None


def _wrk(port: int, cookie: str) -> float:
    argv = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", "-H", f"Host: {HOST}:{port}"]
    said = subprocess.run(
        [*argv, "-H", f"Cookie: {cookie}", f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True
    ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found
    return float(found[1])


def at_rate(port: int, request: bytes) -> list[float]:
    """The latencies in ms of requests sent at a steady rate, counted from when each was due."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_at_rate(port, request))


async def _at_rate(port: int, request: bytes) -> list[float]:
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(LANES):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    latencies: list[float] = []

    async def one(due: float) -> None:
        reader, writer = await free.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(5)
        latencies.append((time.perf_counter() - due) * 1000)
        assert head.startswith(b"HTTP/1.1 200"), head
        free.put_nowait((reader, writer))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(RATE * RATE_SECONDS)):
            due = began + number / RATE
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            tasks.create_task(one(due))
    return latencies[RATE // 2 :]
