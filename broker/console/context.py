"""What every page of the shell shows: who is signed in, and the navigation their roles open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest

from accounts.services.notices import unseen
from broker.console.desk import Desk, desk
from broker.console.queries.connectors import troubles

# (heading, ((label, address, icon, the action that opens it or none), …))
_NAVIGATION: tuple[tuple[str, tuple[tuple[str, str, str, str], ...]], ...] = (
    ("", (("What I can open", "/", "app", ""), ("My account", "/account", "user", ""))),
    (
        "Audit",
        (
            ("Events", "/console/events", "event", "event.list"),
            ("Access sessions", "/console/sessions", "session", "session.list"),
            ("Login sessions", "/console/login-sessions", "key", "session.list"),
        ),
    ),
    (
        "Administration",
        (
            ("Users", "/console/users", "users", "user.list"),
            ("Groups", "/console/groups", "group", "group.list"),
            ("Roles", "/console/roles", "role", "role.list"),
            ("Apps", "/console/apps", "app", "app.list"),
            ("Servers", "/console/servers", "server", "server.list"),
            ("Connectors", "/console/connectors", "key", "connector.list"),
            ("Locks", "/console/locks", "lock", "lock.list"),
            ("Why?", "/console/why", "question", "role.read"),
        ),
    ),
)


def shell(request: HttpRequest) -> dict[str, Any]:
    """`me`, `nav` and `troubles` for base.html; empty for a page that nobody is signed in on."""
    session = getattr(request, "login_session", None)
    if session is None:
        return {"me": {}, "nav": []}
    at = desk(request)
    return {
        "me": {"name": session.user.username, "full_name": session.user.full_name, "unseen": unseen(session.user)},
        "nav": list(_navigation(request.path, at)) if at.subject else [],
        "troubles": troubles() if at.may("connector.list") else [],
    }


def _navigation(path: str, at: Desk) -> Iterator[dict[str, Any]]:
    for heading, items in _NAVIGATION:
        shown = [
            {"label": label, "url": url, "icon": icon, "current": _is_current(path, url)}
            for label, url, icon, action in items
            if not action or at.offers(action)
        ]
        if shown:
            yield {"label": heading, "items": shown}


def _is_current(path: str, url: str) -> bool:
    return path == url or (url != "/" and path.startswith(url + "/"))
