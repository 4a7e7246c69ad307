"""Guessing limits: one counter per key (account, device or address), the same for every door."""

from __future__ import annotations

from django.db import models


class Throttle(models.Model):
    """The failures under one key within its window (Unix seconds), how often it was blocked, and until when it is."""

    key = models.CharField(primary_key=True, max_length=160)
    failed_at = models.JSONField(default=list)
    blocks = models.PositiveSmallIntegerField(default=0)
    blocked_until = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)
