"""Who somebody is elsewhere: the account at a connector that is theirs."""

from __future__ import annotations

import uuid

from django.db import models

from broker.sealed import SealedTextField


class Identity(models.Model):
    """A user's account at a connector, known by (issuer, subject) and by nothing else, least of all an e-mail address.

    `issuer` is the OpenID issuer, or `ldap:NAME` and `scim:NAME`; `subject` is the `sub` claim, the entry's UUID, or
    the id we gave. `claims` are what it last said (no tokens), `traits` what the mapping made of them, `outcome` how
    each rule of the mapping fared (`broker.policy.claims.Outcome` as plain values).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="identities")
    connector = models.ForeignKey("accounts.Connector", on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    claims = models.JSONField(default=dict)
    traits = models.JSONField(default=dict)
    outcome = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "identities"
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="identity_once")]


class ProviderSession(models.Model):
    """The session at an OpenID Provider that a login session came from: what a back-channel logout names.

    `id_token` is kept, sealed, as the hint of RP-initiated logout; it opens nothing. `flow_hash` is that of the state
    and code that made the session: should the two come again, it ends.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    login_session = models.OneToOneField(
        "accounts.LoginSession", on_delete=models.CASCADE, related_name="provider_session"
    )
    connector = models.ForeignKey("accounts.Connector", on_delete=models.CASCADE, related_name="+")
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    sid = models.CharField(max_length=255, blank=True)
    id_token = SealedTextField(default="")
    flow_hash = models.CharField(max_length=64, blank=True, db_index=True)

    class Meta:
        indexes = [models.Index(fields=["issuer", "subject"]), models.Index(fields=["issuer", "sid"])]


class ProviderFlow(models.Model):
    """A browser on its way to an OpenID Provider and back: good once, for ten minutes, in that browser alone.

    Of `state` and of the browser's cookie only hashes are kept; nonce and PKCE verifier follow from the state
    (`accounts.oidc.flow`) and are stored nowhere.
    """

    class Purpose(models.TextChoices):
        SIGN_IN = "sign-in"
        CONFIRM = "confirm"  # give the second factor again, at the provider
        LINK = "link"  # connect the account there with the user signed in here
        TEST = "test"  # an administrator tries a connector; nobody is signed in

    state_hash = models.CharField(primary_key=True, max_length=64)
    browser_hash = models.CharField(max_length=64)
    connector = models.ForeignKey("accounts.Connector", on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    login_session = models.ForeignKey(
        "accounts.LoginSession", on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    next = models.CharField(max_length=5000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)


class OneUse(models.Model):
    """An id that may come once, such as a logout token's `jti`. `key` says which kind it is of."""

    key = models.CharField(primary_key=True, max_length=160)
    expires_at = models.DateTimeField(db_index=True)
