"""A person's authenticator app: the sealed seed and the last time step it was used in."""

from __future__ import annotations

import base64
import uuid
from datetime import datetime
from urllib.parse import quote, urlencode

from django.db import models
from django.utils import timezone
from django_otp.models import Device
from django_otp.oath import hotp

from broker.sealed import SealedTextField
from broker.tokens import same

STEP = 30
"""Seconds (RFC 6238)."""

DIGITS = 6
TOLERANCE = 1
"""Steps that clocks may differ by, either way."""


class TotpDevice(Device, models.Model):  # type: ignore[misc]  # django_otp is untyped
    """A TOTP generator (RFC 6238). `seed` is base32, sealed; no code of step `last_step` or before counts again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="totp_devices")
    seed = SealedTextField()
    last_step = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(confirmed=True), name="one_confirmed_totp_per_user"
            ),
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(confirmed=False), name="one_pending_totp_per_user"
            ),
        ]

    def step_of(self, code: str, at: datetime) -> int | None:
        """The time step that `code` belongs to, unless it is too far off or was used before."""
        key = base64.b32decode(self.seed)
        now = int(at.timestamp()) // STEP
        steps = [now + offset for offset in range(-TOLERANCE, TOLERANCE + 1)]
        matching = [step for step in steps if same(f"{hotp(key, step, DIGITS):0{DIGITS}d}", code)]
        return max((step for step in matching if step > self.last_step), default=None)

    def verify_token(self, token: str) -> bool:
        """Use up `token` (django-otp's hook). Call it through `accounts.authenticators.totp`, which locks the row."""
        now = timezone.now()
        step = self.step_of(token, now)
        if step is None:
            return False
        self.last_step, self.last_used_at = step, now
        self.save(update_fields=["last_step", "last_used_at"])
        return True

    def uri(self, issuer: str) -> str:
        """The `otpauth://` address that authenticator apps read from the QR code."""
        query = urlencode({"secret": self.seed, "issuer": issuer, "digits": DIGITS, "period": STEP}, quote_via=quote)
        return f"otpauth://totp/{quote(issuer)}:{quote(self.user.username)}?{query}"
