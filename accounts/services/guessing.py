"""A guess at any door: paid for, checked, and told to the log when it was wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from django.db import transaction

from accounts import throttle
from accounts.models import Notice, User
from accounts.services.notices import tell
from accounts.throttle import Door
from broker.audit.event import Event, SignInFailed, SignInThrottled
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import PosternError

TELL_AFTER = 2
"""Blocks in a row after which the account's owner is told: ten wrong guesses (M04)."""

WRONG_PASSWORD = "this password is wrong"  # noqa: S105 - words
WRONG_CODE = "this code is wrong, or was used before"


class Wrong(PosternError):
    """What was given does not prove anything. The words are the same whatever was wrong with it."""


def guess(
    origin: Origin,
    door: Door,
    user: User | None,
    step: str,
    check: Callable[[], bool],
    message: str,
    refusals: Sequence[Event] = (),
) -> None:
    """Raises Wrong if `check` says no, Throttled without asking it when there were too many wrong guesses before.

    `refusals` go to the log with a wrong guess; `check` may add to them.
    """
    keys = door.code_keys() if step == "totp" else door.keys()
    right, paid = throttle.is_right(keys, check)
    if right:
        return
    about = {"id": str(user.pk) if user else "", "label": user.username if user else door.name[:64], "step": step}
    events: list[Event] = [*refusals, SignInFailed(**about)]  # type: ignore[arg-type]
    if paid.blocks:
        events.append(SignInThrottled(**about, retry_after=math.ceil(paid.retry_after)))  # type: ignore[arg-type]
    with transaction.atomic():
        if user and paid.in_a_row >= TELL_AFTER:
            tell(origin, user, Notice.Kind.THROTTLED, step=step)
        record(origin, *events)
    raise Wrong(message)
