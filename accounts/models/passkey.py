"""Passkeys and security keys (WebAuthn), and the challenges they answer."""

from __future__ import annotations

import uuid

from django.db import models
from django_otp_webauthn.models import AbstractWebAuthnCredential


class Passkey(AbstractWebAuthnCredential):  # type: ignore[misc]  # untyped
    """A WebAuthn credential of one user; `name` is what they call it. Public keys only: there is no secret in it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")

    class Meta:
        ordering = ["created_at"]


class PasskeyChallenge(models.Model):
    """A challenge that waits for its answer: good once, for five minutes, for one purpose.

    It belongs to the sign-in or login session it was made in, or, before anybody is known, to the browser whose cookie
    hashes to `browser_hash`.
    """

    class Purpose(models.TextChoices):
        REGISTER = "register"
        CONFIRM = "confirm"
        SECOND_FACTOR = "second-factor"
        SIGN_IN = "sign-in"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    sign_in = models.ForeignKey("accounts.SignIn", on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    login_session = models.ForeignKey(
        "accounts.LoginSession", on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    browser_hash = models.CharField(max_length=64, blank=True)
    state = models.JSONField(default=dict)
    expires_at = models.DateTimeField(db_index=True)
