"""What a subject may use: their apps, and their servers with the logins that open them. Nothing else is ever named."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from django.conf import settings

from broker import live as live_state
from broker.audit.origin import Origin
from broker.errors import Invalid, Problem
from broker.live import Live, LiveApp, LiveServer
from broker.policy import Attempt, Context, Denial, Subject
from broker.policy.attempt import APP_REQUEST, SSH_SESSION
from broker.policy.grant import Grant
from broker.services.openness import WAITS_FOR_PERSON, may_open
from broker.services.pages import Page, cursor_for, limit_of, position_in

KINDS = ("app", "server")


@dataclass(frozen=True, slots=True)
class Usable:
    """A resource that a subject may use. `url` for an app; `address`, `port` and `logins` for a server."""

    kind: str
    name: str
    labels: Mapping[str, str]
    description: str
    url: str = ""
    address: str = ""
    port: int = 0
    logins: tuple[str, ...] = ()


def list_resources(
    origin: Origin,
    subject: Subject,
    *,
    kind: str = "",
    search: str = "",
    limit: int | None = None,
    cursor: str = "",
) -> Page[Usable]:
    """A page of what the subject may use, by kind and name; `search` looks into name, description and labels."""
    if kind and kind not in KINDS:
        raise Invalid(f"there is no kind {kind[:40]!r}", "app or server", [Problem("app or server", path="kind")])
    size, after = limit_of(limit), position_in(cursor)
    live = live_state.current()
    found = list(islice(_usable(live, origin, subject, kind, search.lower()[:200], after), size + 1))
    following = cursor_for(f"{found[size - 1].kind}/{found[size - 1].name}") if len(found) > size else ""
    return Page(found[:size], following)


def list_servers(origin: Origin, subject: Subject) -> list[Usable]:
    """All servers the subject may log in to."""
    return list(_usable(live_state.current(), origin, subject, "server", "", ""))


def app_address(name: str) -> str:
    """Where the app of that name is opened; empty if there is none."""
    app = live_state.current().app_named(name)
    return settings.POSTERN.app_url(app.host) if app else ""


def _usable(live: Live, origin: Origin, subject: Subject, kind: str, search: str, after: str) -> Iterator[Usable]:
    """What may be used after a position `kind/name`, in order. Lazy: a page of it costs no more than it shows."""
    context = Context(time.time(), origin.address)
    grants = live.grants(subject.id)
    if kind != "server":
        for app in sorted(live.apps.values(), key=lambda app: app.name):
            if f"app/{app.name}" > after and _is_found(app, search):
                attempt = Attempt(subject, APP_REQUEST, app.resource, context, method="GET", path="/")
                if any(grant.allow.apps.matches(app.resource.labels) for grant in grants) and may_open(live, attempt):
                    yield _app(app)
    if kind != "app":
        for server in sorted(live.servers.values(), key=lambda server: server.name):
            if f"server/{server.name}" > after and _is_found(server, search):
                logins = _logins(live, subject, server, grants, context)
                if logins:
                    yield _server(server, logins)


def _logins(
    live: Live, subject: Subject, server: LiveServer, grants: Iterable[Grant], context: Context
) -> tuple[str, ...]:
    """The logins that open a server: those its roles name, each one decided."""
    named = {
        login for grant in grants if grant.allow.servers.matches(server.resource.labels) for login in grant.allow.logins
    }
    permitted = []
    for login in sorted(named):
        decision = live.decide(Attempt(subject, SSH_SESSION, server.resource, context, login=login))
        if not isinstance(decision, Denial) or decision.reasons[0] in WAITS_FOR_PERSON:
            permitted.append(login)
    return tuple(permitted)


def _is_found(item: LiveApp | LiveServer, search: str) -> bool:
    if not search:
        return True
    texts = (item.name, item.spec.description, *(f"{key}={value}" for key, value in item.resource.labels.items()))
    return any(search in text.lower() for text in texts)


def _app(app: LiveApp) -> Usable:
    url = settings.POSTERN.app_url(app.host)
    return Usable("app", app.name, app.resource.labels, app.spec.description, url=url)


def _server(server: LiveServer, logins: tuple[str, ...]) -> Usable:
    spec = server.spec
    return Usable(
        "server",
        server.name,
        server.resource.labels,
        spec.description,
        address=spec.host,
        port=spec.port,
        logins=logins,
    )
