"""A proof comes once: in one process, in all of them while Valkey answers, and Valkey down stops nobody."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from pydantic import SecretStr

from accounts import proofs_seen
from accounts.dpop import WINDOW, Proof
from broker import valkey
from tests.real.valkey import Valkey

NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A process that has just started, without Valkey."""
    use(monkeypatch, f"unix://{tmp_path}/none.sock")
    restart(monkeypatch)
    yield
    valkey._line.cache_clear()


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(settings.POSTERN, "redis_url", SecretStr(url))
    valkey._line.cache_clear()


def restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process saw."""
    monkeypatch.setattr(proofs_seen, "_memory", proofs_seen.Memory())
    monkeypatch.setattr(proofs_seen, "_shared_again_at", 0.0)


def new_proof() -> Proof:
    return Proof("t" * 43, secrets.token_urlsafe(16))


def test_a_proof_comes_once_without_valkey() -> None:
    proof = new_proof()
    assert proofs_seen.first_use(proof, NOW)
    assert not proofs_seen.first_use(proof, NOW)
    assert not proofs_seen.first_use(proof, NOW + 2 * WINDOW)
    assert proofs_seen.first_use(new_proof(), NOW)


def test_the_same_identifier_of_another_key_is_another_proof() -> None:
    assert proofs_seen.first_use(Proof("t" * 43, "j" * 22), NOW)
    assert proofs_seen.first_use(Proof("u" * 43, "j" * 22), NOW)


def test_a_proof_is_remembered_for_as_long_as_it_is_good_and_no_longer_than_twice_that() -> None:
    memory = proofs_seen.Memory()
    for second in range(0, 3000, 7):
        memory.first_use(f"filler {second}", NOW + second)
        if second % 91 == 0:
            assert memory.first_use(f"mine {second}", NOW + second)
            assert not memory.first_use(f"mine {second}", NOW + second + 2 * WINDOW)
    assert len(memory._newer) + len(memory._older) < 100


def test_a_clock_set_back_forgets_nothing() -> None:
    memory = proofs_seen.Memory()
    assert memory.first_use("mine", NOW)
    assert not memory.first_use("mine", NOW - 3600)


def test_another_process_and_the_next_one_know_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = new_proof()
    with Valkey(tmp_path) as server:
        use(monkeypatch, server.url)
        assert proofs_seen.first_use(proof, NOW)
        restart(monkeypatch)
        assert not proofs_seen.first_use(proof, NOW)
        lives = valkey.ask("TTL", f"postern:proof:{proof.thumbprint}.{proof.identifier}")
        assert 2 * WINDOW - 5 < lives <= proofs_seen.KEEP


def test_valkey_that_comes_back_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = new_proof()
    use(monkeypatch, f"unix://{tmp_path}/valkey.sock")
    assert proofs_seen.first_use(new_proof(), NOW)
    with Valkey(tmp_path):
        monkeypatch.setattr(proofs_seen, "_shared_again_at", 0.0)
        assert proofs_seen.first_use(proof, NOW)
        restart(monkeypatch)
        assert not proofs_seen.first_use(proof, NOW)


def test_a_connection_that_was_closed_while_idle_lets_no_proof_in_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is a good one refused whose note arrived, though not the answer."""
    proof, asked = new_proof(), valkey.ask
    with Valkey(tmp_path) as server:
        use(monkeypatch, server.url)
        assert proofs_seen.first_use(proof, NOW)
        for noted in (False, True):
            for again, first in ((proof, False), (new_proof(), True)):
                restart(monkeypatch)
                broken = iter((True,))

                def ask(*words: str | bytes | int, noted: bool = noted, broken: Iterator[bool] = broken) -> object:
                    if next(broken, False):
                        if noted:
                            asked(*words)
                        raise ConnectionError
                    return asked(*words)

                monkeypatch.setattr(valkey, "ask", ask)
                assert proofs_seen.first_use(again, NOW) is first


def test_valkey_that_hangs_is_left_alone_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def hang(*_: object) -> None:
        nonlocal asked
        asked += 1
        raise valkey.Failures[0]("no answer")

    monkeypatch.setattr(valkey, "ask", hang)
    assert all(proofs_seen.first_use(new_proof(), NOW) for _ in range(20))
    assert asked == 2
