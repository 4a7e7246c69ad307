"""One-use links by which a person sets a password and enrols a second factor."""

from __future__ import annotations

import uuid

from django.db import models


class Invite(models.Model):
    """A one-use link for one user. Only the token's hash is kept. That of a `reset` opens once the reset is done."""

    class Purpose(models.TextChoices):
        ENROL = "enrol"
        RESET = "reset"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    token_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="invites")
    purpose = models.CharField(max_length=8, choices=Purpose.choices, default=Purpose.ENROL)
    reset = models.ForeignKey("accounts.FactorReset", on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    created_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
