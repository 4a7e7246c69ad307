"""Telling people what happened to their account: a notice in the console, and a mail if there is a way to send one.

`tell` runs in the transaction of what it tells about, so that one is not there without the other. It only writes: mails
are sent by a task (`accounts.services.notice_mail`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import LoginSession, Notice, User
from broker.audit.origin import Origin

KEEP = timedelta(days=180)
"""How long notices are kept."""

SHOWN = 50
"""At most so many are shown."""

ATTEMPTS = (Notice.Kind.THROTTLED, Notice.Kind.PASSKEY_COPIED)
"""What others do who try to come in, as often as they please."""

ATTEMPTS_EVERY = timedelta(hours=1)
"""Somebody who goes on trying gives no more than one notice of a kind in this time."""

OF_THE_FIRST_SIGN_IN = (Notice.Kind.FACTOR_ADDED, Notice.Kind.IDENTITY_LINKED)
"""What belongs to coming in for the first time, which is told as a whole (a new device) when that is done."""

Value = str | int | bool | Sequence[str]


def tell(origin: Origin, user: User, kind: Notice.Kind, **data: Value) -> None:
    """Tell `user`; machines and the deleted hear nothing. Call it in a transaction, and never with a secret in `data`.

    `by` names who did it when that was not the user: an administrator, or a connector.
    """
    if user.kind != User.Kind.PERSON or (kind in ATTEMPTS and _told_lately(user, kind)):
        return
    if kind in OF_THE_FIRST_SIGN_IN and not LoginSession.objects.filter(user=user).exists():
        return
    if origin.actor_name and origin.actor_id != str(user.pk):
        data.setdefault("by", origin.actor_name)
    mailed = bool(settings.POSTERN.smtp_url.get_secret_value() and user.email)
    Notice.objects.create(
        user=user,
        kind=kind,
        data={name: value if isinstance(value, str | int | bool) else list(value) for name, value in data.items()},
        address=origin.address[:64],
        mail_due_at=timezone.now() if mailed else None,
    )


def notices_of(user: User) -> list[Notice]:
    """What a user was told, unseen first, then the newest."""
    rows = list(Notice.objects.filter(user=user).order_by("-created_at")[:SHOWN])
    return sorted(rows, key=lambda row: row.seen_at is not None)


def unseen(user: User) -> int:
    """How many notices a user has not marked as seen."""
    return _unseen(user).count()


def mark_seen(user: User) -> int:
    """All notices are seen; answers how many were not."""
    return _unseen(user).update(seen_at=timezone.now())


def drop_old() -> None:
    """Housekeeping: what was told long ago."""
    Notice.objects.filter(created_at__lt=timezone.now() - KEEP).delete()


def _unseen(user: User) -> QuerySet[Notice]:
    return Notice.objects.filter(user=user, seen_at=None)


def _told_lately(user: User, kind: Notice.Kind) -> bool:
    return Notice.objects.filter(user=user, kind=kind, created_at__gt=timezone.now() - ATTEMPTS_EVERY).exists()
