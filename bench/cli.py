"""What `postern` adds to each ssh: the time from starting ssh's ProxyCommand to the connected socket in ssh's hand.

With a good certificate on disk, as it is for all but one connection in five minutes. The server is any listener: what
it would say is not part of this.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from postern import certificate_cache, ssh_proxy

from bench.figure import Figure

ROUNDS = 40


def run() -> Iterable[Figure]:
    """The median and the 90th percentile, beside a Python that starts and does nothing."""
    with (
        tempfile.TemporaryDirectory() as directory,
        socket.create_server(("127.0.0.1", 0), backlog=ROUNDS * 2) as server,
    ):
        home = Path(directory)
        (home / "certs").mkdir()
        line = certificate_cache.line("ssh-ed25519-cert-v01@openssh.com AAAA", 2**40, *server.getsockname()[:2])
        Path(certificate_cache.path_of(directory, "root", "db-1.postern")).write_text(line)
        proxy: list[float] = []
        bare: list[float] = []
        for _ in range(ROUNDS):
            bare.append(_milliseconds([*PYTHON, "-c", "pass"]))
            proxy.append(
                _milliseconds([*PYTHON, str(Path(ssh_proxy.__file__)), directory, "postern", "root", "db-1.postern"])
            )
    yield Figure("cli", "ssh_proxy_ms", statistics.median(proxy), "ms", 60.0)
    yield Figure("cli", "ssh_proxy_p90_ms", statistics.quantiles(proxy, n=10)[-1], "ms")
    yield Figure("cli", "bare_python_ms", statistics.median(bare), "ms")


PYTHON = [sys.executable, "-I", "-S", "-E"]


def _milliseconds(command: list[str]) -> float:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno())
        if len(command) > len(PYTHON) + 2:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        else:
            descriptors = []
        code = process.wait()
        passed = (time.perf_counter() - began) * 1000
    for descriptor in descriptors:
        os.close(descriptor)
    if code:
        raise RuntimeError(f"{command[-1]} ended with {code}")
    return passed
