"""Guessing limits: one counter for all doors at which an account can be guessed.

A guess is paid for before it is checked, in a transaction of its own, and paid back when it was right: a hundred at
once still get no more than the budget. Browsers that signed in before have a budget of their own, so that nobody can
lock an owner out by guessing from elsewhere.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts import throttle_rows
from accounts.names import name_key
from accounts.places import network
from accounts.throttle_rows import Row
from broker.errors import Throttled

LONGEST_BLOCK = 900.0
"""Seconds. However often somebody guesses, a block is never longer."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How many wrong guesses a window of so many seconds allows; each block in a row is a `growth` longer."""

    wrong: int
    window: float
    growth: float = 0.0


ACCOUNT = Budget(wrong=5, window=300, growth=300)
DEVICE = Budget(wrong=5, window=300, growth=300)
ADDRESS = Budget(wrong=30, window=300, growth=300)
CODES_A_DAY = Budget(wrong=30, window=86_400)
"""Six digits need a longer memory: 3 of 1,000,000 are right at any time, so 30 tries a day succeed once in 11,000."""

Keys = tuple[tuple[str, Budget], ...]


@dataclass(frozen=True, slots=True)
class Door:
    """Where somebody guesses: the account as typed, the address, and the device if it is known to the account."""

    name: str
    address: str = ""
    device: str = ""

    def keys(self) -> Keys:
        """The counters that a guess of any kind pays into."""
        if self.device:
            return ((f"device:{self.device}:{self._account}", DEVICE),)
        return ((f"account:{self._account}", ACCOUNT), (f"address:{network(self.address)}", ADDRESS))

    def code_keys(self) -> Keys:
        """The same, and the day's budget for six-digit codes."""
        return (*self.keys(), (f"codes:{self.device}:{self._account}", CODES_A_DAY))

    def passkey_keys(self) -> Keys:
        """A counter apart: a passkey cannot be guessed, so guessing at others must keep nobody from using it."""
        return ((f"passkeys:{network(self.address)}", ADDRESS),)

    def address_keys(self) -> Keys:
        """The address alone, where no account is named."""
        return ((f"address:{network(self.address)}", ADDRESS),)

    @property
    def _account(self) -> str:
        return hashlib.sha256(name_key(self.name).encode("utf-8", "replace")).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class Guess:
    """A guess that was paid for. `blocks` are the keys it filled: nobody may try these again for a while.

    `in_a_row` is how often one account's guesses were blocked by now, this time included; 0 if it filled no such key.
    """

    keys: Keys
    at: float
    blocks: tuple[str, ...] = ()
    retry_after: float = 0.0
    in_a_row: int = 0


def is_right(keys: Keys, check: Callable[[], bool]) -> tuple[bool, Guess]:
    """Pay, check, and get the money back if the guess was right. Raises Throttled when the budget is spent."""
    guess = pay(keys)
    right = check()
    if right:
        pay_back(guess)
    return right, guess


def pay(keys: Keys) -> Guess:
    """Count a guess under each key before it is checked, in an own transaction. Raises Throttled."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        rows = throttle_rows.locked([key for key, _ in keys], now)
        wait = max(_wait(rows[key], budget, now) for key, budget in keys)
        if wait <= 0:
            blocks = tuple(key for key, budget in keys if _count(rows[key], budget, now))
            throttle_rows.write(rows.values(), now)
            wait_next = max(_wait(rows[key], budget, now) for key, budget in keys)
            in_a_row = max((rows[key].blocks for key in blocks if not key.startswith("address:")), default=0)
            return Guess(keys, now.timestamp(), blocks, wait_next, in_a_row)
    raise Throttled("too many wrong tries", math.ceil(wait), "wait a little, then try again")


def pay_back(guess: Guess) -> None:
    """The guess was right: as if it had not been counted. Earlier wrong ones stay counted."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        rows = throttle_rows.locked([key for key, _ in guess.keys], now)
        for key, row in rows.items():
            if guess.at in row.failed_at:
                row.failed_at.remove(guess.at)
            if key in guess.blocks:
                row.blocked_until, row.blocks = None, max(0, row.blocks - 1)
        throttle_rows.write(rows.values(), now)


def _wait(row: Row, budget: Budget, now: datetime) -> float:
    """Seconds until a guess under this key is allowed; 0 or less if it is now."""
    until = row.blocked_until.timestamp() if row.blocked_until else 0.0
    recent = _recent(row, budget, now)
    if len(recent) >= budget.wrong:
        until = max(until, recent[-budget.wrong] + budget.window)
    return until - now.timestamp()


def _count(row: Row, budget: Budget, now: datetime) -> bool:
    """Note one guess; True if it was the last one allowed."""
    if row.blocked_until and now - row.blocked_until > timedelta(seconds=4 * LONGEST_BLOCK):
        row.blocks, row.blocked_until = 0, None
    row.failed_at = [*_recent(row, budget, now), now.timestamp()]
    if len(row.failed_at) < budget.wrong:
        return False
    row.blocks += 1
    if budget.growth:
        row.blocked_until = now + timedelta(seconds=min(LONGEST_BLOCK, row.blocks * budget.growth))
    return True


def _recent(row: Row, budget: Budget, now: datetime) -> list[float]:
    return sorted(at for at in row.failed_at if at > now.timestamp() - budget.window)
