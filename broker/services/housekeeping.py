"""Housekeeping: dropping what has run out. Nothing here protects anybody: what is over is refused without it too."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from broker.models import Enrolment, Launch

KEEP = timedelta(days=30)
"""How long used and expired enrolments are kept."""


def drop_stale() -> int:
    """Remove launch codes that ran out and enrolments long over; answers how many rows went."""
    now = timezone.now()
    launches, _ = Launch.objects.filter(expires_at__lt=now).delete()
    enrolments, _ = Enrolment.objects.filter(expires_at__lt=now - KEEP).delete()
    return launches + enrolments
