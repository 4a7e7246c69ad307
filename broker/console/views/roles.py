"""Roles: the list, each role's page, and its document."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from accounts.requests import SignedInRequest
from broker.console import lists
from broker.console.changing import counted
from broker.console.desk import desk
from broker.console.entry import WRITE, console_page
from broker.console.queries import access, events, roles
from broker.console.views.documents import edit_document, new_document, remove_document
from broker.console.yaml_text import yaml_of
from broker.errors import Conflict
from broker.services.roles import BUILTIN_HINT

TEMPLATE = """\
kind: role
metadata:
  name: developer
  description: what these people may do, in a few words
spec:
  allow:
    # servers and apps are chosen by their labels
    logins: [deploy]
    server_labels:
      env: dev
    app_labels:
      env: [dev, staging]
  options:
    require_session_mfa: false
"""


@console_page("role.list")
def role_list(request: SignedInRequest) -> HttpResponse:
    """All roles."""
    query = lists.asked(request, "q")
    sort = lists.sorting(request, roles.COLUMNS, "name")
    page = lists.page_of(request, lists.order_by(roles.roles(query["q"]), roles.COLUMNS, sort))
    context = {"page": page, "query": query, "sort": sort, "may_create": desk(request).may("role.create")}
    return render(request, "console/roles/list.html", context)


@console_page("role.read")
def role_page(request: SignedInRequest, name: str) -> HttpResponse:
    """One role: its document, and who holds it."""
    role, at = roles.role_named(name), desk(request)
    context = {
        "role": role,
        "description": role.document.get("metadata", {}).get("description", ""),
        "yaml": yaml_of(role.document),
        "holders": roles.holders(role) if at.may("binding.list") else None,
        "lock": access.standing_lock("role", role.name) if at.may("lock.list") else None,
        "events": events.about_resource(role.pk) if at.may("event.list") else None,
        "may_update": not role.builtin and at.may("role.update", role.name),
        "may_delete": not role.builtin and at.may("role.delete", role.name),
        "may_unbind": at.may("binding.delete"),
        "may_lock": at.may("lock.create"),
    }
    return render(request, "console/roles/page.html", context)


@console_page("role.create", WRITE)
def role_new(request: SignedInRequest) -> HttpResponse:
    """Write a new role."""
    return new_document(request, "role", TEMPLATE)


@console_page("role.update", WRITE)
def role_edit(request: SignedInRequest, name: str) -> HttpResponse:
    """Edit a role's document."""
    if roles.role_named(name).builtin:
        raise Conflict(f"role {name} is built in and cannot be changed", BUILTIN_HINT)
    return edit_document(request, "role", name)


@console_page("role.delete", WRITE)
def role_delete(request: SignedInRequest, name: str) -> HttpResponse:
    """Remove a role and take it from everybody."""
    role = roles.role_named(name)
    if role.builtin:
        raise Conflict(f"role {name} is built in and cannot be deleted", BUILTIN_HINT)
    held = counted(len(roles.holders(role)), "user or group", "users and groups")
    return remove_document(request, "role", name, [f"takes it from {held}"])
