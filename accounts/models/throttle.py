"""Guessing limits: one counter per key (account, device or address), the same for every door."""

from __future__ import annotations

from django.db import models


class Throttle(models.Model):
    """Failures counted under one key within a window, and until when the key is blocked."""

    key = models.CharField(primary_key=True, max_length=160)
    failures = models.PositiveIntegerField(default=0)
    window_started_at = models.DateTimeField()
    blocked_until = models.DateTimeField(null=True, blank=True)
