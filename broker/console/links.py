"""Addresses of console pages that code, not only templates, leads to."""

from __future__ import annotations

from django.urls import reverse

_PAGES = {"oidc": "connector", "ldap": "connector", "scim": "connector"}


def user_url(name: str) -> str:
    """The page of a user."""
    return reverse("console:user", kwargs={"name": name})


def group_url(name: str) -> str:
    """The page of a group."""
    return reverse("console:group", kwargs={"name": name})


def page_url(kind: str, name: str) -> str:
    """The page of a role, app, server or connector."""
    return reverse(f"console:{_PAGES.get(kind, kind)}", kwargs={"name": name})


def list_url(kind: str) -> str:
    """The list of all of that kind."""
    return reverse(f"console:{_PAGES.get(kind, kind)}s")
