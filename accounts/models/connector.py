"""Where identities come from beside Postern itself: OpenID Providers, directories, provisioning clients."""

from __future__ import annotations

import uuid

from django.db import models

from broker.sealed import SealedTextField


class Connector(models.Model):
    """One provider, directory or provisioning client, as its document says. `document` never holds `secret`.

    The client secret or bind password is sealed; of a SCIM client's token only the hash is kept. `checked_at` is when
    the other side was last asked, `ok_at` when it last answered well, `problem` what it answered otherwise, in words,
    and `failing_since` when that began.
    """

    class Kind(models.TextChoices):
        OIDC = "oidc"
        LDAP = "ldap"
        SCIM = "scim"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    name = models.CharField(max_length=63, unique=True)
    enabled = models.BooleanField(default=True)
    document = models.JSONField()
    secret = SealedTextField(default="")
    token_hash = models.CharField(max_length=64, unique=True, null=True, blank=True)
    token_made_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    ok_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=500, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    @property
    def source(self) -> str:
        """What memberships and login sessions call it: `oidc:NAME`."""
        return f"{self.kind}:{self.name}"

    def __str__(self) -> str:
        return self.source
