"""Recovery codes: the way in without the second factor, each good for once."""

from __future__ import annotations

from django.db import models


class RecoveryCode(models.Model):
    """One recovery code of one user. Only its hash is kept; a code carries 80 random bits and so needs no salt."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="recovery_codes")
    code_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "code_hash"], name="recovery_code_once")]
