"""The certificate authorities and every certificate they were told to sign."""

from __future__ import annotations

import uuid

from django.db import models

from broker.sealed import SealedTextField


class CertificateAuthority(models.Model):
    """A CA key: `user` signs people and machines, `host` signs servers. The private half is sealed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=4)  # user | host
    public_key = models.TextField()
    private_key = SealedTextField()
    state = models.CharField(max_length=8, default="active")  # active | trusted | retired
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind"], condition=models.Q(state="active"), name="one_active_ca_per_kind")
        ]


class Certificate(models.Model):
    """A certificate's serial and template, committed before anything is signed."""

    serial = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=12)  # access | identity | host
    authority = models.ForeignKey(CertificateAuthority, on_delete=models.PROTECT, related_name="+")
    key_id = models.CharField(max_length=300)
    principals = models.JSONField()
    template = models.JSONField()
    public_key_fingerprint = models.CharField(max_length=80)
    subject_id = models.UUIDField(null=True, blank=True, db_index=True)
    subject_name = models.CharField(max_length=64, blank=True)
    login_session_id = models.UUIDField(null=True, blank=True)
    server_id = models.UUIDField(null=True, blank=True)
    issued_at = models.DateTimeField()
    valid_before = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-serial"]
