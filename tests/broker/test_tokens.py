"""Bearer tokens."""

from __future__ import annotations

import hashlib
import math
import os
import random
import re

from broker import tokens


def test_tokens_differ_after_a_fork_and_with_a_known_seed() -> None:
    """L25: 64 children of one process, all seeded alike."""
    read, write = os.pipe()
    for _ in range(64):
        child = os.fork()
        if child == 0:
            try:
                random.seed(0)
                os.write(write, (tokens.new_token("ptn_cli_") + "\n").encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        made = pipe.read().split()
    assert len(made) == len(set(made)) == 64


def test_a_token_has_256_bits_and_says_what_it_is() -> None:
    token = tokens.new_token("ptn_app_")
    assert re.fullmatch(r"ptn_app_[0-9A-Za-z]{43}", token)
    assert tokens.LENGTH * math.log2(len(set(tokens.ALPHABET))) >= 256


def test_the_digest_is_sha256() -> None:
    assert tokens.digest("ptn_cli_x") == hashlib.sha256(b"ptn_cli_x").hexdigest()


def test_equal_is_equal_and_nothing_else_is() -> None:
    assert tokens.same("a", "a")
    for other in ("b", "", "aa", "ä", "\0"):
        assert not tokens.same("a", other)
