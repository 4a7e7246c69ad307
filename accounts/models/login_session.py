"""Sign-in: one in progress, and the login session it ends in."""

from __future__ import annotations

import uuid

from django.db import models

from broker.sealed import SealedTextField


class SignIn(models.Model):
    """A sign-in under way in one browser. It opens nothing but the next step; a login session comes at the end.

    `via` is where the person proved the first factor: `local`, or a connector's source (`oidc:NAME`, `ldap:NAME`).
    `state["provider"]` is what the provider session will be made of; its ID token waits sealed in `id_token`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    token_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    invite = models.ForeignKey("accounts.Invite", on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    via = models.CharField(max_length=80, default="local")
    amr = models.JSONField(default=list)
    state = models.JSONField(default=dict)
    id_token = SealedTextField(null=True, blank=True)  # type: ignore[misc]  # the stubs know no sealed None
    next = models.CharField(max_length=5000, blank=True)
    address = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()


class LoginSession(models.Model):
    """A person signed in, in a browser or a CLI. Only the token's hash is kept; ended sessions stay for the record.

    `via` is where the first factor was proved (as in `SignIn`). `mfa_spent_at` is when the confirmation of `mfa_at`
    first started an access session that wanted one of its own. `key_thumbprint` (RFC 7638) is the key that a CLI's
    token is bound to. `last_address` is where it was last used from, `moved_at` when that was last another network.
    """

    class Kind(models.TextChoices):
        BROWSER = "browser"
        CLI = "cli"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="login_sessions")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.BROWSER)
    token_hash = models.CharField(max_length=64, unique=True)
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="children")
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    via = models.CharField(max_length=80, default="local")
    amr = models.JSONField(default=list)
    mfa_at = models.DateTimeField(null=True, blank=True)
    mfa_spent_at = models.DateTimeField(null=True, blank=True)
    key_thumbprint = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=64, blank=True)
    last_address = models.CharField(max_length=64, blank=True)
    moved_at = models.DateTimeField(null=True, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    device_name = models.CharField(max_length=100, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_reason = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["user", "ended_at"]), models.Index(fields=["expires_at"])]
