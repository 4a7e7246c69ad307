"""Groups of people, and who is in them."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models

from accounts.names import name_key


class Group(models.Model):
    """A named set of users; roles may be bound to it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=64)
    name_key = models.CharField(max_length=64, unique=True, editable=False)
    description = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name_key"]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep the unique key in step with the name."""
        self.name_key = name_key(self.name)
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user in a group, as one source says: `local`, or the connector that keeps it."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="memberships")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="memberships")
    source = models.CharField(max_length=80, default="local")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "group", "source"], name="membership_once_per_source")]
