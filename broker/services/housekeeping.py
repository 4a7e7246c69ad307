"""Housekeeping: dropping what has run out. Nothing here protects anybody: what is over is refused without it too."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from accounts.services import notices
from broker.models import Enrolment, Launch

KEEP = timedelta(days=30)
"""How long used and expired enrolments are kept."""


def drop_stale() -> int:
    """Remove launch codes that ran out, enrolments and notices long over; answers how many of the first two went."""
    now = timezone.now()
    launches, _ = Launch.objects.filter(expires_at__lt=now).delete()
    enrolments, _ = Enrolment.objects.filter(expires_at__lt=now - KEEP).delete()
    notices.drop_old()
    return launches + enrolments
