"""Groups as SCIM clients keep them."""

from __future__ import annotations

import uuid

from django.db import models


class ProvisionedGroup(models.Model):
    """A group that a SCIM client keeps, and what it calls it. `id` is the client's name for it.

    Who is in it by that client are the memberships of its source. `made`: the group came into being by this client,
    and goes with it if nobody else is in it. `version` counts the client's changes.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    connector = models.ForeignKey("accounts.Connector", on_delete=models.CASCADE, related_name="provisioned_groups")
    group = models.ForeignKey("accounts.Group", on_delete=models.CASCADE, related_name="+")
    display_name = models.CharField(max_length=255)
    external_id = models.CharField(max_length=255, blank=True)
    made = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connector", "group"], name="provisioned_group_once")]
