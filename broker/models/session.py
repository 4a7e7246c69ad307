"""Access sessions: each use of one resource, and the one-time code by which a browser starts one at an app."""

from __future__ import annotations

import uuid

from django.db import models


class AccessSession(models.Model):
    """One use of one resource by one subject.

    Names are kept beside ids, since the record outlives users and resources. `token_hash` is that of the app cookie or
    app token; a certificate's session has none. `mfa_at` is the confirmation it was started with, if its roles or
    resource want one for each session.
    """

    class Credential(models.TextChoices):
        COOKIE = "cookie"
        BEARER = "bearer"
        CERTIFICATE = "certificate"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    protocol = models.CharField(max_length=8)  # app | ssh
    credential = models.CharField(max_length=12, choices=Credential.choices)
    token_hash = models.CharField(max_length=64, unique=True, null=True, blank=True)
    login_session_id = models.UUIDField(db_index=True)
    user_id = models.UUIDField(db_index=True)
    user_name = models.CharField(max_length=64)
    resource_id = models.UUIDField(db_index=True)
    resource_name = models.CharField(max_length=63)
    login = models.CharField(max_length=32, blank=True)
    roles = models.JSONField(default=list)
    mfa_at = models.DateTimeField(null=True, blank=True)
    address = models.CharField(max_length=64, blank=True)
    certificate_serial = models.BigIntegerField(null=True, blank=True)
    started_at = models.DateTimeField()
    last_used_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_reason = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["-started_at"]
        indexes = [models.Index(fields=["ended_at", "expires_at"]), models.Index(fields=["started_at"])]


class Launch(models.Model):
    """A one-time code that turns a login session into an app session in the same browser (60 s)."""

    code_hash = models.CharField(primary_key=True, max_length=64)
    state_hash = models.CharField(max_length=64)
    app = models.ForeignKey("broker.App", on_delete=models.CASCADE, related_name="+")
    login_session = models.ForeignKey("accounts.LoginSession", on_delete=models.CASCADE, related_name="+")
    next = models.CharField(max_length=4000)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
