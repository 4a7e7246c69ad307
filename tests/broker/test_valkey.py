"""The light connection: replies go to who asked, and a Valkey that went away and came back is found again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from pydantic import SecretStr

from broker import valkey
from tests.real.valkey import Valkey


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    """A Valkey of this test's own."""
    with Valkey(tmp_path) as running:
        monkeypatch.setattr(settings.POSTERN, "redis_url", SecretStr(running.url))
        valkey._line.cache_clear()
        yield running
    valkey._line.cache_clear()


def test_without_a_server_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings.POSTERN, "redis_url", SecretStr(f"unix://{tmp_path}/none.sock"))
    valkey._line.cache_clear()
    with pytest.raises(valkey.Failures):
        valkey.ask("PING")
    with pytest.raises(valkey.Failures):
        valkey.tell("PUBLISH", "x", 1)
    valkey._line.cache_clear()


def test_whoever_asks_gets_their_own_reply_after_any_number_of_tellings(server: Valkey) -> None:
    for number in range(2 * valkey.MOST_OWED + 7):
        valkey.tell("SET", "told", number)
    assert valkey.ask("GET", "told") == b"206"
    assert valkey.ask("ECHO", "mine") == b"mine"


def test_threads_do_not_mix_their_replies(server: Valkey) -> None:
    wrong: list[object] = []

    def ask_often(name: str) -> None:
        for number in range(300):
            valkey.tell("PUBLISH", "x", number)
            if (got := valkey.ask("ECHO", f"{name}{number}")) != f"{name}{number}".encode():
                wrong.append(got)

    threads = [threading.Thread(target=ask_often, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_connection_that_was_closed_is_made_anew(server: Valkey) -> None:
    assert valkey.ask("PING") == b"PONG"
    ident = valkey.ask("CLIENT", "ID")
    thread = threading.Thread(target=lambda: valkey.ask("CLIENT", "KILL", "ID", ident))
    thread.start()
    thread.join()
    valkey.tell("SET", "after", 1)
    assert valkey.ask("GET", "after") == b"1"


def test_an_error_is_raised_to_the_next_who_asks_and_then_forgotten(server: Valkey) -> None:
    valkey.tell("NONSENSE")
    with pytest.raises(valkey.Failures):
        valkey.ask("PING")
    assert valkey.ask("PING") == b"PONG"


def test_a_forked_process_has_a_connection_of_its_own(server: Valkey) -> None:
    mine = valkey.ask("CLIENT", "ID")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(valkey.ask("CLIENT", "ID")).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        assert answer.read() not in ("", str(mine))
    os.waitpid(child, 0)
    assert valkey.ask("CLIENT", "ID") == mine
