"""Access certificates a second over the API, each logged before it is signed, on a PostgreSQL that flushes to disk.

One uvicorn worker on a UNIX socket, as `web` runs behind nginx, with 1,000 servers and a subject who holds 20 of 100
roles. Four keep-alive clients ask for ten seconds, each call with a proof of the client's key; every answer's serial
must be in the audit log afterwards.

`per_core_per_s` is certificates ÷ CPU seconds of the web process: what one core of it gives when it has that core to
itself. The database's own CPU is not in it, nor is waiting for its disk; `per_wall_s` is what came out here, with web,
PostgreSQL, Valkey and the clients sharing this machine's cores.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from postern.token_key import TokenKey

from bench._issue_seed import HELD
from bench.figure import Figure
from tests.real import postgres
from tests.real.valkey import Valkey

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = 4
SECONDS = 10.0
WARM_UP = 50
ADDRESS = "http://postern.localhost:8080/api/v1/certificates/access"
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


def run() -> Iterable[Figure]:
    """Certificates per CPU second of the web process, and per second of the clock."""
    with (
        mock.patch.dict(postgres.OPTIONS, DURABLE),
        tempfile.TemporaryDirectory(prefix="ptn") as scratch,
        postgres.Postgres() as database,
        Valkey(Path(scratch)) as valkey,
    ):
        url = database.create_database("postern")
        clean = {key: value for key, value in os.environ.items() if not key.startswith("POSTERN_")}
        environ = {
            **clean,
            "POSTERN_DATA_DIR": f"{scratch}/data",
            "POSTERN_DATABASE_URL": url,
            "POSTERN_REDIS_URL": valkey.url,
            "POSTERN_URL": "http://postern.localhost:8080",
        }
        _python(environ, "manage.py", "setup")
        keys = [TokenKey.new() for _ in range(CLIENTS)]
        tokens = _python(environ, "-m", "bench._issue_seed", *(key.thumbprint for key in keys)).split()
        web = Web(environ, Path(scratch) / "web.sock")
        try:
            served, cpu, wall = _measure(web, list(zip(tokens, keys, strict=True)))
        finally:
            web.stop()
        _check_log(url, served)
    yield Figure("issue", "per_core_per_s", len(served) / cpu, "1/s", 200.0, "higher")
    yield Figure("issue", "per_wall_s", len(served) / wall, "1/s", None, "higher")


class Web:
    """One web process on a UNIX socket."""

    def __init__(self, environ: dict[str, str], path: Path, application: str = "broker.asgi:application") -> None:
        self.path = path
        command = [sys.executable, "-m", "uvicorn", application, "--uds", str(path), "--no-access-log"]
        self._process = subprocess.Popen(
            [*command, "--log-level", "warning", "--lifespan", "off", "--proxy-headers"], cwd=ROOT, env=environ
        )
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the web process does not answer")
            time.sleep(0.05)

    def cpu_seconds(self) -> float:
        """CPU time it has used so far, user and system, all threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self._process.kill()
        self._process.wait(20)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.path))
            except OSError:
                return False
            return True


class Client:
    """A CLI: one keep-alive connection, one key to certify, one token and the key it is bound to."""

    def __init__(self, path: Path, token: str, token_key: TokenKey) -> None:
        self._token, self._token_key = token, token_key
        key = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        self._body = {"login": "root", "public_key": key.decode()}
        self._headers = {
            "Host": "postern.localhost:8080",
            "X-Real-Ip": "192.0.2.7",
            "Authorization": f"DPoP {token}",
            "Content-Type": "application/json",
        }
        self._connection = http.client.HTTPConnection("postern.localhost")
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.connect(str(path))

    def ask(self, number: int) -> int:
        """The serial of one more certificate."""
        body = json.dumps(self._body | {"server": f"server-{number % HELD}"})
        proof = self._token_key.proof("POST", ADDRESS, self._token)
        self._connection.request("POST", urlsplit(ADDRESS).path, body, {**self._headers, "DPoP": proof})
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200 or not answer["certificate"].startswith("ssh-ed25519-cert-v01@openssh.com "):
            raise RuntimeError(f"the broker answered {response.status}: {answer}")
        serial: int = answer["serial"]
        return serial


def _measure(web: Web, signed_in: list[tuple[str, TokenKey]]) -> tuple[list[int], float, float]:
    """The serials handed out, the web process's CPU seconds, and seconds of the clock."""
    clients = [Client(web.path, token, key) for token, key in signed_in]
    for number in range(WARM_UP):
        clients[number % len(clients)].ask(number)
    served: list[list[int]] = [[] for _ in clients]
    failures: list[BaseException] = []
    end = time.monotonic() + SECONDS

    def load(client: Client, into: list[int]) -> None:
        try:
            while time.monotonic() < end:
                into.append(client.ask(len(into)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=load, args=pair) for pair in zip(clients, served, strict=True)]
    cpu, began = web.cpu_seconds(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall, cpu = time.monotonic() - began, web.cpu_seconds() - cpu
    if failures:
        raise failures[0]
    return [serial for one in served for serial in one], cpu, wall


def _check_log(url: str, served: list[int]) -> None:
    """Every serial once, and every one of them on record."""
    with psycopg.connect(url) as connection:
        query = "SELECT (data->>'serial')::bigint FROM broker_auditevent WHERE name = 'certificate.issued'"
        logged = {row[0] for row in connection.execute(query)}
    if len(set(served)) != len(served) or not set(served) <= logged:
        raise RuntimeError("a certificate was handed out that is not in the log, or a serial twice")


def _python(environ: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE, text=True, timeout=90
    )
    return done.stdout
