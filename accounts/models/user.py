"""People: the custom user model."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

from accounts.names import name_key


class UserManager(BaseUserManager["User"]):
    """Finds users by any spelling of their name."""

    def by_name(self, typed: str) -> User | None:
        """The user whose name is `typed` in any spelling, or None."""
        key = name_key(typed)  # PostgreSQL takes no NUL, even in a query
        return None if "\0" in key else next(iter(self.filter(username_key=key).order_by()), None)

    def get_by_natural_key(self, username: str | None) -> User:
        """The user of that name (Django's hook); raises DoesNotExist."""
        return self.get(username_key=name_key(username or ""))


class User(AbstractBaseUser):
    """A person or machine user. Traits are named lists of strings that roles may use.

    `traits` are those Postern itself keeps; each identity adds its own. `disabled_by` is the connector's source that
    disabled the user and may enable them again; empty when an administrator did.
    """

    class Kind(models.TextChoices):
        PERSON = "person"
        MACHINE = "machine"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.PERSON)
    username = models.CharField(max_length=64)
    username_key = models.CharField(max_length=64, unique=True, editable=False)
    full_name = models.CharField(max_length=200, blank=True)
    email = models.CharField(max_length=254, blank=True)
    traits = models.JSONField(default=dict, blank=True)
    groups = models.ManyToManyField("accounts.Group", through="accounts.Membership", related_name="members")
    created_at = models.DateTimeField(auto_now_add=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.CharField(max_length=500, blank=True)
    disabled_by = models.CharField(max_length=80, blank=True)
    last_login = None  # login sessions know better

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["username_key"]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep the unique key in step with the name."""
        self.username_key = name_key(self.username)
        super().save(*args, **kwargs)

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        """Whether the account may be used at all."""
        return self.disabled_at is None

    @property
    def display_name(self) -> str:
        """The full name if known, else the user name."""
        return self.full_name or self.username
