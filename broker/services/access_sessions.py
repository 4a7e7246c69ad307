"""Ending access sessions because what they hang on is gone; the followers of the feed cut what is live of them."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from broker.audit.event import AppSessionEnded, Event
from broker.models import AccessSession


def ended_events(why: str, **which: Any) -> list[Event]:
    """Mark the open access sessions that match as ended; the events to record. Call it in a transaction.

    A certificate cannot be called back, so its session has no event of its own: the end of its cause is on record.
    """
    rows = list(AccessSession.objects.select_for_update().filter(ended_at=None, expires_at__gt=timezone.now(), **which))
    now = timezone.now()
    AccessSession.objects.filter(pk__in=[row.pk for row in rows], ended_at=None).update(
        ended_at=now, ended_reason=why[:100]
    )
    return [
        AppSessionEnded(
            id=str(row.resource_id),
            label=row.resource_name,
            why=why,
            access_session_id=str(row.pk),
            also_touches=(f"access_session:{row.pk}",),
        )
        for row in rows
        if row.protocol == "app"
    ]
