"""The web application with another cost of argon2: `BENCH_ARGON2=TIME,KIB,LANES`. For the bench of sign-in alone."""

from __future__ import annotations

import gc
import os

from django.contrib.auth.hashers import Argon2PasswordHasher

from broker.asgi import application

__all__ = ["application"]


def use_cost() -> None:
    """Hash at the cost that the environment says."""
    cost = tuple(map(int, os.environ["BENCH_ARGON2"].split(",")))
    Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = cost


use_cost()
gc.freeze()  # as the supervisor does before it starts the web process
