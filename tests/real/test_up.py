"""`bin/run` as a whole: every process, from the first start to the last stop."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.real.postgres import Postgres
from tests.real.product import ROOT, Product, free_port

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product started for the first time."""
    with Product(tmp_path_factory.mktemp("up") / "var") as product:
        yield product


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`python -m broker.supervise ARGUMENTS` until it ends."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("POSTERN_")}
    return subprocess.run(
        [sys.executable, "-m", "broker.supervise", *arguments],
        cwd=ROOT,
        env={**clean, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why it did not start."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def processes_of(data_dir: Path, pid: int) -> set[int]:
    """Every process below `pid`, and every other one that has the data directory's name in its arguments."""
    parents = {}
    named = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if str(data_dir) in (entry / "cmdline").read_text():
                named.add(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return (found | named) - {os.getpid()}


def alive(pids: set[int]) -> set[int]:
    """Those that are there and no zombies."""
    left = set()
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                left.add(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return left


def gone(pids: set[int], within: float = 20.0) -> None:
    """Wait until none of them is left."""
    deadline = time.monotonic() + within
    while left := alive(pids):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)


# What must not start


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        line = refused(run("--port", str(port), POSTERN_DATA_DIR=str(tmp_path / "var")))
    assert f"port {port} is in use" in line
    assert not (tmp_path / "var" / "keys").exists(), "nothing is made before the port is known to be free"


def test_an_unwritable_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused(run("--port", str(free_port()), POSTERN_DATA_DIR=str(tmp_path / "file" / "var")))
    assert f"{tmp_path}/file/var" in line


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("POSTERN_URL", "http://example.com", "plain http works for *.localhost only"),
        ("POSTERN_ULR", "https://example.com", "no such setting"),
        ("POSTERN_SESSION_MAX", "soon", "a duration looks like"),
        ("POSTERN_DATABASE_URL", "mysql://x/y", "postgresql://"),
        ("POSTERN_DATABASE_URL_FILE", "/nowhere/at/all", "cannot read"),
        ("POSTERN_LISTEN", "everywhere", "POSTERN_LISTEN"),
    ],
)
def test_a_bad_setting_is_one_line(name: str, value: str, words: str, tmp_path: Path) -> None:
    line = refused(run(**{"POSTERN_DATA_DIR": str(tmp_path / "var"), name: value}))
    assert words in line


def test_keys_that_are_missing_beside_data_stop_the_start(tmp_path: Path) -> None:
    """O15: refused, and nothing is made in their place."""
    product = Product(tmp_path / "var")
    product.manage("setup")
    for name in ("secret_key", "keyring.json"):
        key = tmp_path / "var" / "keys" / name
        kept = key.rename(tmp_path / name)
        line = refused(run(**{k: v for k, v in product.environ.items() if k.startswith("POSTERN_")}))
        assert f"{name} is missing" in line
        assert not key.exists()
        kept.rename(key)


# The first start


def test_everything_answers(first: Product) -> None:
    with first.http() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert client.get("/").headers["location"].endswith("/sign-in")


def test_the_first_administrators_link_works(first: Product) -> None:
    assert re.fullmatch(rf"{re.escape(first.url)}/invite/[\w-]{{22,}}", first.invite_url)
    with first.http() as client:
        assert client.get(first.invite_url).status_code in (200, 302, 303)


def test_the_link_is_told_once_and_stands_nowhere_else(first: Product) -> None:
    token = first.invite_url.rpartition("/")[2]
    assert first.output.count(token) == 1
    database = (first.data_dir / "postern.sqlite3").read_bytes()
    assert token.encode() not in database
    for path in first.data_dir.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert token.encode() not in path.read_bytes(), path


def test_only_the_owner_can_enter(first: Product) -> None:
    for name in ("", "keys", "run"):
        assert stat.S_IMODE((first.data_dir / name).stat().st_mode) == 0o700
    for key in (first.data_dir / "keys").iterdir():
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_no_process_shows_a_secret_in_its_arguments(first: Product) -> None:
    secrets = [first.invite_url.rpartition("/")[2], (first.data_dir / "keys" / "secret_key").read_text().strip()]
    for pid in processes_of(first.data_dir, first.pid):
        arguments = Path(f"/proc/{pid}/cmdline").read_text()
        assert not any(secret in arguments for secret in secrets)


def test_a_second_one_on_the_same_directory_is_refused(first: Product) -> None:
    line = refused(run("--port", str(free_port()), POSTERN_DATA_DIR=str(first.data_dir)))
    assert "runs already" in line


@pytest.mark.parametrize("name", ["web", "authz", "edge", "worker"])
def test_a_crashed_process_comes_back(first: Product, name: str) -> None:
    """O25 in small: kill -9, and the product answers again."""
    victim = next(
        pid
        for pid in processes_of(first.data_dir, first.pid)
        if Path(f"/proc/{pid}/comm").read_text().strip() == f"postern-{name}"
    )
    os.kill(victim, signal.SIGKILL)
    first.wait_for_line(rf"{name} was ended by SIGKILL; starting it again")
    deadline = time.monotonic() + 30
    with first.http() as client:
        while True:
            try:
                if client.get("/readyz").status_code == 200:
                    break
            except httpx2.HTTPError:
                pass
            assert time.monotonic() < deadline, first.output
            time.sleep(0.1)


# Stopping, and starting again


def test_a_second_start_is_quick_keeps_everything_and_tells_no_link(tmp_path: Path) -> None:
    product = Product(tmp_path / "var")
    with product:
        keys = {path.name: path.read_bytes() for path in (tmp_path / "var" / "keys").iterdir()}
        pids = processes_of(product.data_dir, product.pid)
    gone(pids)
    again = Product(tmp_path / "var", product.port)
    with again:
        assert again.invite_url == ""
        assert "/invite/" not in again.output
        assert keys == {path.name: path.read_bytes() for path in (tmp_path / "var" / "keys").iterdir()}
        # 5 s for itself; where others compute as well, it gets only its share of the machine.
        assert again.seconds_to_ready < 5 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_no_process_is_left_behind(tmp_path: Path, how: signal.Signals) -> None:
    product = Product(tmp_path / "var")
    product.start()
    pids = processes_of(product.data_dir, product.pid)
    assert len(pids) >= 7, "the supervisor, valkey, web, authz, edge, worker, nginx"
    code = product.stop(how)
    gone(pids)
    assert code == (-signal.SIGKILL if how == signal.SIGKILL else 0)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", product.port))


def test_it_runs_on_postgresql(tmp_path: Path) -> None:
    with Postgres() as server:
        environ = {"POSTERN_DATABASE_URL": server.create_database("postern")}
        with Product(tmp_path / "var", env=environ) as product:
            assert not (tmp_path / "var" / "postern.sqlite3").exists()
            with product.http() as client:
                assert client.get("/readyz").status_code == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_runs_as_nobody(tmp_path_factory: pytest.TempPathFactory) -> None:
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    home = Path("/tmp") / f"postern-nobody-{os.getpid()}"
    home.mkdir(mode=0o700)
    try:
        os.chown(home, 65534, 65534)
        readable = subprocess.run(
            [*nobody, sys.executable, "-c", "import django, redis"],
            cwd=ROOT,
            capture_output=True,
        )
        if readable.returncode:
            pytest.skip(f"another user cannot read {sys.executable}")
        product = Product(home / "var", become=nobody)
        with product, product.http() as client:
            assert client.get("/readyz").status_code == 200
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_the_demo_has_an_app_a_server_and_three_people(tmp_path: Path) -> None:
    product = Product(tmp_path / "var", demo=True)
    with product:
        assert len(re.findall(r"/invite/[\w-]+", product.output)) == 4
        with product.http() as client:
            app = f"http://demo-app.postern.localhost:{product.port}"
            assert client.get(f"{app}/whoami").status_code == 401
            assert client.get(app, headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}).status_code == 302
    with product:  # it keeps working the second time
        with product.http() as client:
            assert client.get("/readyz").status_code == 200
