"""Roles and to whom they are bound; locks."""

from __future__ import annotations

import uuid

from django.db import models


class Role(models.Model):
    """A role, kept as its normalised document; `broker.documents` gives it meaning."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=63, unique=True)
    document = models.JSONField()
    builtin = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Binding(models.Model):
    """A role given to one user or one group, perhaps until a date."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="bindings")
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, null=True, blank=True, related_name="bindings")
    group = models.ForeignKey(
        "accounts.Group", on_delete=models.CASCADE, null=True, blank=True, related_name="bindings"
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["role", "user"], name="binding_once_per_user"),
            models.UniqueConstraint(fields=["role", "group"], name="binding_once_per_group"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=True) ^ models.Q(group__isnull=True), name="binding_user_xor_group"
            ),
        ]

    @property
    def name(self) -> str:
        """`ROLE:user:NAME` or `ROLE:group:NAME`: how documents and events name a binding."""
        if self.user:
            return f"{self.role.name}:user:{self.user.username}"
        return f"{self.role.name}:group:{self.group.name if self.group else ''}"


class Lock(models.Model):
    """An order that beats every role, until it ends or is lifted. `target_id` is the id, or a login's name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    target_kind = models.CharField(max_length=16)
    target_id = models.CharField(max_length=64)
    target_name = models.CharField(max_length=200)
    reason = models.CharField(max_length=500)
    created_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["lifted_at", "expires_at"])]
