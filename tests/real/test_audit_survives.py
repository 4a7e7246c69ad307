"""What was acknowledged is on record, whatever dies; what cannot be put on record does not happen."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from postern.token_key import TokenKey

from bench.issue import ROOT, Client, Web
from tests.real.postgres import Postgres

pytestmark = pytest.mark.real
KILLS = 8
HANG_UP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'postern'"
CLIENTS = 2


@dataclass
class Installation:
    """A set-up broker with seeded callers, on PostgreSQL; the test starts and kills its web process."""

    database: Postgres
    url: str
    environ: dict[str, str]
    socket: Path
    signed_in: list[tuple[str, TokenKey]]

    def web(self) -> Web:
        self.socket.unlink(missing_ok=True)
        return Web(self.environ, self.socket)

    def logged(self) -> list[tuple[int, int | None]]:
        """(seq, serial) of every event, in order."""
        with psycopg.connect(self.url) as connection:
            query = (
                "SELECT seq, CASE WHEN name = 'certificate.issued' THEN (data->>'serial')::bigint END"
                " FROM broker_auditevent ORDER BY seq"
            )
            return list(connection.execute(query).fetchall())


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("POSTERN_")}
    with Postgres() as database:
        url = database.create_database("postern")
        environ = {**clean, "POSTERN_DATA_DIR": str(tmp_path / "data"), "POSTERN_DATABASE_URL": url}
        run(environ, "manage.py", "setup")
        keys = [TokenKey.new() for _ in range(CLIENTS)]
        tokens = run(environ, "-m", "bench._issue_seed", *(key.thumbprint for key in keys)).split()
        signed_in = list(zip(tokens, keys, strict=True))
        yield Installation(database, url, environ, tmp_path / "web.sock", signed_in)


def run(environ: dict[str, str], *arguments: str) -> str:
    words = [sys.executable, *arguments]
    return subprocess.run(words, cwd=ROOT, env=environ, check=True, capture_output=True, text=True, timeout=120).stdout


def keep_asking(connect: Callable[[], Client], serials: list[int], stop: threading.Event) -> None:
    """Ask for certificates until told to stop; a connection that breaks is made anew."""
    while not stop.is_set():
        with contextlib.suppress(OSError, http.client.HTTPException):
            client = connect()
            while not stop.is_set():
                serials.append(client.ask(len(serials)))
        stop.wait(0.02)


def test_every_certificate_that_was_handed_out_is_on_record_though_the_process_is_killed(
    installation: Installation,
) -> None:
    """A02, C11: kill -9 at random points under load; serials are unique and the log has no gap."""
    dice = random.Random(20)
    stop = threading.Event()
    handed_out: list[list[int]] = [[] for _ in installation.signed_in]
    web = installation.web()
    threads = [
        threading.Thread(target=keep_asking, args=(lambda w=who: Client(installation.socket, *w), into, stop))
        for who, into in zip(installation.signed_in, handed_out, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        for kill in range(KILLS):
            enough = sum(map(len, handed_out)) + 3
            deadline = time.monotonic() + 30
            while sum(map(len, handed_out)) < enough and time.monotonic() < deadline:
                stop.wait(0.01)
            stop.wait(dice.random() * 0.1)
            web.kill()
            if kill < KILLS - 1:
                web = installation.web()
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
        web.kill()
    serials = [serial for one in handed_out for serial in one]
    log = installation.logged()
    on_record = [serial for _, serial in log if serial is not None]
    assert len(serials) >= 3 * KILLS
    assert len(set(serials)) == len(serials)
    assert len(set(on_record)) == len(on_record)
    assert set(serials) <= set(on_record)
    assert [seq for seq, _ in log] == list(range(1, len(log) + 1))


def test_nothing_is_handed_out_while_the_log_cannot_be_written(installation: Installation) -> None:
    """A03: the database away, and then read-only: refusals, no certificate; afterwards all is as before."""
    web = installation.web()
    try:
        client = Client(installation.socket, *installation.signed_in[0])
        client.ask(0)
        before = installation.logged()
        with psycopg.connect(installation.url, autocommit=True) as connection:
            connection.execute("ALTER DATABASE postern SET default_transaction_read_only = on")
            connection.execute(HANG_UP)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="the broker answered 50[03]"):
                client.ask(1)
        with psycopg.connect(installation.url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER DATABASE postern SET default_transaction_read_only = off")
            connection.execute(HANG_UP)
        assert installation.logged() == before
        again = asked_until_it_works(lambda: client.ask(1))
        assert again in {serial for _, serial in installation.logged()}
        installation.database.halt()
        for _ in range(3):
            with pytest.raises(RuntimeError, match="the broker answered 50[03]"):
                client.ask(2)
        installation.database.resume()
        last = asked_until_it_works(lambda: client.ask(2))
        assert last in {serial for _, serial in installation.logged()}
    finally:
        web.stop()


def asked_until_it_works(ask: Callable[[], int]) -> int:
    deadline = time.monotonic() + 30
    while True:
        try:
            return ask()
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
