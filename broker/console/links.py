"""Addresses of console pages that code, not only templates, leads to."""

from __future__ import annotations

from django.urls import reverse


def user_url(name: str) -> str:
    """The page of a user."""
    return reverse("console:user", kwargs={"name": name})


def group_url(name: str) -> str:
    """The page of a group."""
    return reverse("console:group", kwargs={"name": name})


def page_url(kind: str, name: str) -> str:
    """The page of a role, app or server."""
    return reverse(f"console:{kind}", kwargs={"name": name})
