"""What I can open: apps as tiles, servers as lines to copy. And search, which finds only what one may see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from accounts.models import LoginSession
from accounts.requests import SignedInRequest
from broker.console import lists
from broker.console.desk import Desk, desk
from broker.console.entry import for_everyone
from broker.console.queries import groups, resources, roles, users
from broker.services.certificates import SUFFIX
from broker.services.pages import Page
from broker.services.resources import Usable, list_resources

APPS, SERVERS, FOUND = 48, 40, 8
"""How many of each a page shows."""


@for_everyone
def launcher(request: SignedInRequest) -> HttpResponse:
    """The home page."""
    query, at = lists.asked(request, "q", "apps", "servers"), desk(request)
    apps = _mine(request, at, "app", query["q"], APPS, request.GET.get("apps", ""))
    servers = _mine(request, at, "server", query["q"], SERVERS, request.GET.get("servers", ""))
    context = {
        "apps": [_tile(app) for app in apps.items],
        "next_apps": apps.next,
        "servers": servers.items,
        "next_servers": servers.next,
        "query": query,
        "suffix": SUFFIX,
        "broker_url": settings.POSTERN.url,
        "has_cli": _has_cli(request) if servers.items else True,
        "may_add_app": at.may("app.create"),
        "may_add_server": at.may("server.create"),
        "may_give_roles": at.may("binding.create"),
    }
    return render(request, "console/launcher.html", context)


@for_everyone
def search(request: SignedInRequest) -> HttpResponse:
    """Everything of one name that one may see."""
    query, at = lists.asked(request, "q")["q"], desk(request)
    found = list(_found(request, at, query)) if query else []
    context = {"found": [part for part in found if part["items"]], "search_query": query, "query": query}
    return render(request, "console/search.html", context)


def _mine(request: SignedInRequest, at: Desk, kind: str, text: str, limit: int, cursor: str = "") -> Page[Usable]:
    if at.subject is None:
        return Page(())
    return list_resources(request.origin, at.subject, kind=kind, search=text, limit=limit, cursor=cursor)


def _tile(app: Usable) -> dict[str, Any]:
    host = app.url.partition("://")[2]
    return {
        "name": app.name,
        "url": f"/launch/{app.name}",
        "description": app.description,
        "host": host,
        "labels": app.labels,
    }


def _has_cli(request: SignedInRequest) -> bool:
    return LoginSession.objects.filter(user=request.user, kind=LoginSession.Kind.CLI).exists()


def _found(request: SignedInRequest, at: Desk, text: str) -> Iterable[dict[str, Any]]:
    apps = _mine(request, at, "app", text, FOUND).items
    yield {
        "title": "Apps I can open",
        "icon": "app",
        "items": [_item(app.name, app.description, f"/launch/{app.name}") for app in apps],
    }
    servers = _mine(request, at, "server", text, FOUND).items
    yield {
        "title": "Servers I can log in to",
        "icon": "server",
        "items": [_item(s.name, s.description or ", ".join(s.logins), f"/?q={s.name}") for s in servers],
    }
    if at.may("user.list"):
        rows = users.users(text).order_by("username_key")[:FOUND]
        yield _part("Users", "users", "user", [(row.username, row.full_name) for row in rows])
    if at.may("group.list"):
        some = groups.groups(text).order_by("name_key")[:FOUND]
        yield _part("Groups", "group", "group", [(row.name, row.description) for row in some])
    if at.may("role.list"):
        held = roles.roles(text).order_by("name")[:FOUND]
        yield _part("Roles", "role", "role", [(row.name, _about(row.document)) for row in held])
    if at.may("app.list"):
        kept = resources.apps(text).order_by("name")[:FOUND]
        yield _part("Apps", "app", "app", [(row.name, _about(row.document)) for row in kept])
    if at.may("server.list"):
        hosts = resources.servers(text).order_by("name")[:FOUND]
        yield _part("Servers", "server", "server", [(row.name, _about(row.document)) for row in hosts])


def _part(title: str, icon: str, page: str, found: Iterable[tuple[str, str]]) -> dict[str, Any]:
    items = [_item(name, text, reverse(f"console:{page}", kwargs={"name": name})) for name, text in found]
    return {"title": title, "icon": icon, "items": items}


def _item(name: str, text: str, url: str) -> dict[str, str]:
    return {"name": name, "text": text, "url": url}


def _about(document: dict[str, Any]) -> str:
    return str(resources.summary_of(document)["description"])
