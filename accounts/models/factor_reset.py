"""An administrator's order to forget somebody's second factor, which waits for a second administrator or for time."""

from __future__ import annotations

import uuid

from django.db import models


class FactorReset(models.Model):
    """A reset of one user's second factors. Until it is carried out nothing is lost, and the user may refuse it.

    It takes effect when somebody other than `asked_by` approves it, or at `due_at`. Names are kept beside ids, since
    the record outlives administrators.
    """

    class Outcome(models.TextChoices):
        PENDING = "pending"
        DONE = "done"
        REFUSED = "refused"  # by the user
        CANCELLED = "cancelled"  # by an administrator, or overtaken

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="factor_resets")
    asked_by_id = models.CharField(max_length=64, blank=True)
    asked_by = models.CharField(max_length=200, blank=True)
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField(db_index=True)
    approved_by = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=9, choices=Outcome.choices, default=Outcome.PENDING)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(outcome="pending"), name="one_pending_reset_per_user"
            )
        ]
