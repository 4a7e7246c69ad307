"""The CLI as a person runs it: a home of its own, a broker by contract, and alice signed in."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from postern import __main__ as program
from postern import keys, renew, ssh_setup
from postern.state import Home, Session

from tests.cli.broker_double import TOKEN, BrokerDouble


@dataclass(frozen=True)
class Ran:
    """What a run of the program left."""

    code: int
    out: str
    err: str


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A person's machine: nothing signed in, nothing in the environment."""
    for name in [name for name in os.environ if name.startswith(("POSTERN_", "XDG_", "SSH_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "me").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("POSTERN_HOME", str(tmp_path / "a state's directory"))
    monkeypatch.setenv("NO_COLOR", "1")
    return Home.default()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerDouble]:
    (tmp_path / "broker").mkdir()
    double = BrokerDouble(tmp_path / "broker")
    yield double
    double.close()


def sign_in(home: Home, broker: BrokerDouble, lasts: float = 8 * 3600) -> Session:
    """What `postern login` leaves behind."""
    home.prepare()
    session = Session(broker.url, TOKEN, "alice", time.time() + lasts, keys.make(home, "postern:alice"))
    broker.new_token_key().save(home)
    home.save(session)
    renew.refresh_known_hosts(home, [broker.host_ca], session.suffix)
    ssh_setup.write_config(home, session.key, session.suffix)
    return session


@pytest.fixture
def alice(home: Home, broker: BrokerDouble) -> Session:
    """alice, signed in."""
    return sign_in(home, broker)


@pytest.fixture
def postern(home: Home, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command line in this process."""

    def run(*arguments: str) -> Ran:
        capfd.readouterr()
        code = program.run(list(arguments))
        out, err = capfd.readouterr()
        return Ran(int(code), out, err)

    return run


def postern_process(*arguments: str, typed: str = "", timeout: float = 60) -> Ran:
    """Run a command line as a process, for what replaces itself or reads stdin."""
    done = subprocess.run(
        [sys.executable, "-m", "postern", *arguments], input=typed, capture_output=True, text=True, timeout=timeout
    )
    return Ran(done.returncode, done.stdout, done.stderr)
