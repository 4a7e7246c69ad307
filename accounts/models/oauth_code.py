"""Authorization codes (RFC 6749) by which a CLI gets its login session."""

from __future__ import annotations

from datetime import datetime

from django.db import models


class OAuthCode(models.Model):
    """A one-use code bound to client, redirect address, PKCE challenge and key. Kept after use, to notice a second one.

    `key_thumbprint` (RFC 7638) is the key that the client named in advance (`dpop_jkt`, RFC 9449 section 10).
    """

    code_hash = models.CharField(primary_key=True, max_length=64)
    login_session = models.ForeignKey("accounts.LoginSession", on_delete=models.CASCADE, related_name="+")
    made = models.ForeignKey("accounts.LoginSession", on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    client_id = models.CharField(max_length=64)
    redirect_uri = models.CharField(max_length=300)
    code_challenge = models.CharField(max_length=128)
    key_thumbprint = models.CharField(max_length=64, blank=True)
    device_name = models.CharField(max_length=100, blank=True)
    address = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    code_challenge_method = "S256"

    def get_redirect_uri(self) -> str:
        """Where the code was sent (authlib's hook)."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """There are no scopes (authlib's hook)."""
        return ""

    def is_good(self, at: datetime) -> bool:
        """Whether the code may still be exchanged."""
        return self.used_at is None and at < self.expires_at
