"""What a person is told about their account, and what a CLI asks them to confirm."""

from __future__ import annotations

import uuid

from django.db import models


class Notice(models.Model):
    """Something a user should know happened to their account. `data` are the words' fields, never a secret.

    `mail_due_at` is when it is to be mailed next; None when it was, or is not to be.
    """

    class Kind(models.TextChoices):
        NEW_DEVICE = "new-device"
        FACTOR_ADDED = "factor-added"
        FACTOR_REMOVED = "factor-removed"
        FACTORS_RESET = "factors-reset"
        PASSWORD_CHANGED = "password-changed"  # noqa: S105 - a name
        RECOVERY_CODE_USED = "recovery-code-used"
        RESET_ASKED = "reset-asked"
        IDENTITY_LINKED = "identity-linked"
        IDENTITY_UNLINKED = "identity-unlinked"
        ADDRESS_CHANGED = "address-changed"
        SESSION_ENDED = "session-ended"
        THROTTLED = "throttled"
        PASSKEY_COPIED = "passkey-copied"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=24, choices=Kind.choices)
    data = models.JSONField(default=dict)
    address = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    mail_due_at = models.DateTimeField(null=True, blank=True, db_index=True)
    mail_tries = models.PositiveSmallIntegerField(default=0)
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["user", "seen_at"])]


class Confirmation(models.Model):
    """A CLI asks its person to give the second factor in the browser. `number` is shown in both places to compare."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    login_session = models.ForeignKey("accounts.LoginSession", on_delete=models.CASCADE, related_name="confirmations")
    number = models.CharField(max_length=4)
    purpose = models.CharField(max_length=200, blank=True)
    address = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    confirmed = models.BooleanField(default=False)
