"""The keys that sign what apps are told about who asks."""

from __future__ import annotations

import uuid

from django.db import models

from broker.sealed import SealedTextField


class SigningKey(models.Model):
    """An ES256 key; the private half (PEM) is sealed. `trusted` keys sign no more but are still published."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    public_jwk = models.JSONField()
    private_key = SealedTextField()
    state = models.CharField(max_length=8, default="active")  # active | trusted | retired
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=models.Q(state="active"), name="one_active_signing_key")
        ]
