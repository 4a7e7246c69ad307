"""Nothing that opens a door can be foretold."""

from __future__ import annotations

import multiprocessing
import random

import pytest

from accounts.authenticators import recovery
from broker.tokens import new_token


def _from_a_fork(seed: int) -> tuple[str, str]:
    random.seed(seed)
    return new_token(""), recovery._letters() * 4


def test_tokens_differ_whatever_the_seed_and_in_every_fork() -> None:
    """L25."""
    with multiprocessing.get_context("fork").Pool(8, maxtasksperchild=1) as pool:
        made = pool.map(_from_a_fork, [0] * 64, chunksize=1)
    assert len({token for token, _ in made}) == 64
    assert len({letters for _, letters in made}) == 64


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seeded_generator_changes_nothing(seed: int) -> None:
    """L25."""
    random.seed(seed)
    first = new_token("")
    random.seed(seed)
    assert new_token("") != first
    assert len(first) * 5.95 >= 128
