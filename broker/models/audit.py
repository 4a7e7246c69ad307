"""The audit log's table. Only `broker.audit.log` writes it; nothing updates or deletes a row."""

from __future__ import annotations

from django.db import models


class AuditEvent(models.Model):
    """One line of the audit log. No foreign keys: history outlives its subjects."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField(db_index=True)
    name = models.CharField(max_length=64, db_index=True)
    actor_kind = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64, blank=True, db_index=True)
    actor_name = models.CharField(max_length=200, blank=True)
    resource_kind = models.CharField(max_length=16, blank=True)
    resource_id = models.CharField(max_length=64, blank=True, db_index=True)
    resource_name = models.CharField(max_length=200, blank=True)
    decision = models.CharField(max_length=7, blank=True)  # permit | denial
    reasons = models.JSONField(default=list)
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True, db_index=True)
    login_session_id = models.CharField(max_length=36, blank=True)
    access_session_id = models.CharField(max_length=36, blank=True, db_index=True)
    data = models.JSONField(default=dict)
    touches = models.JSONField(default=list)
    search = models.TextField(blank=True)

    class Meta:
        ordering = ["-seq"]
        indexes = [models.Index(fields=["actor_name"]), models.Index(fields=["resource_name"])]
