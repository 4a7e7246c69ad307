"""Apps and servers as lists and pages show them, and who can open them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast, Lower

from broker.errors import NotFound
from broker.live import Live, LiveUser
from broker.models import App, Server
from broker.policy import Attempt, Context, Login, Permit, Subject
from broker.policy.attempt import APP_REQUEST, SSH_SESSION
from broker.services.openness import may_open

APP_COLUMNS = {"name": "name", "host": "host", "changed": "updated_at"}
SERVER_COLUMNS = {"name": "name", "enrolled": "enrolled_at", "changed": "updated_at"}
M = TypeVar("M", bound=Model)


def apps(text: str = "") -> QuerySet[App]:
    """The apps that match by name, host, description, label (`env=prod`) or anything else in the document."""
    return _searched(App.objects.all(), text)


def servers(text: str = "", enrolled: str = "") -> QuerySet[Server]:
    """The servers that match; `enrolled` is `yes`, `no` or empty."""
    rows = _searched(Server.objects.all(), text)
    return rows.filter(enrolled_at__isnull=enrolled == "no") if enrolled in ("yes", "no") else rows


def _searched(rows: QuerySet[M], text: str) -> QuerySet[M]:
    if not text:
        return rows
    key, equals, value = text.partition("=")
    wanted = f'"{key.strip()}": "{value.strip()}' if equals else text
    marked = rows.annotate(words=Lower(Cast("document", TextField())))
    return cast(QuerySet[M], marked.filter(Q(name__contains=text.lower()) | Q(words__contains=wanted.lower())))


def app_named(name: str) -> App:
    """One app. Raises NotFound."""
    app = App.objects.filter(name=name).first()
    if app is None:
        raise NotFound(f"there is no app {name[:64]!r}", "look for it in the list of apps")
    return app


def server_named(name: str) -> Server:
    """One server. Raises NotFound."""
    server = Server.objects.filter(name=name).first()
    if server is None:
        raise NotFound(f"there is no server {name[:64]!r}", "look for it in the list of servers")
    return server


def summary_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Description and labels of a document."""
    metadata = document.get("metadata", {})
    return {"description": metadata.get("description", ""), "labels": metadata.get("labels", {})}


@dataclass(frozen=True, slots=True)
class Opener:
    """A user who can open something, through which roles, and on a server with which logins."""

    user: str
    roles: tuple[str, ...]
    logins: tuple[str, ...] = ()


def openers_of_app(live: Live, name: str, at: float) -> Iterator[Opener]:
    """Who could open an app now if they signed in with a second factor, as policy decides it; by name."""
    app = live.app_named(name)
    if app is None:
        return
    for user, subject in _everybody(live, at):
        grants = [grant for grant in live.grants(user.id) if grant.allow.apps.matches(app.resource.labels)]
        attempt = Attempt(subject, APP_REQUEST, app.resource, Context(at), method="GET", path="/")
        if grants and may_open(live, attempt):
            yield Opener(user.name, _names(grants, at))


def openers_of_server(live: Live, name: str, at: float) -> Iterator[Opener]:
    """Who could log in to a server now, and as whom; by name."""
    server = live.server_named(name)
    if server is None:
        return
    for user, subject in _everybody(live, at):
        grants = [grant for grant in live.grants(user.id) if grant.allow.servers.matches(server.resource.labels)]
        logins: list[str] = []
        roles: set[str] = set()
        for login in sorted({login for grant in grants for login in grant.allow.logins}):
            decision = live.decide(Attempt(subject, SSH_SESSION, server.resource, Context(at), login=login))
            if isinstance(decision, Permit):
                logins.append(login)
                roles.update(decision.roles)
        if logins:
            yield Opener(user.name, tuple(sorted(roles)), tuple(logins))


def _everybody(live: Live, at: float) -> Iterator[tuple[LiveUser, Subject]]:
    fresh = Login("", at, at + 3600, frozenset({"pwd", "otp", "hwk"}), at)
    for user in sorted(live.users.values(), key=lambda user: user.name):
        subject = live.subject_without_session(user.id)
        if subject is not None and subject.active:
            yield user, replace(subject, login=fresh)


def _names(grants: list[Any], at: float) -> tuple[str, ...]:
    return tuple(sorted({grant.role for grant in grants if grant.is_held(at)}))
