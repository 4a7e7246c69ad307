"""The audit log as pages show it. Searching it is `broker.services.events`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from broker.audit.event import all_events
from broker.console.templatetags.postern import exact, shown
from broker.environment import seconds_in
from broker.errors import NotFound
from broker.models import AuditEvent
from broker.services.events import EventQuery

FILTERS = ("q", "type", "actor", "resource", "decision", "since", "until")
LATEST = 8


def kinds() -> list[tuple[str, str]]:
    """What the list can be narrowed to: families of events (`user`), then each of them."""
    names = [event.name for event in all_events()]
    families = sorted({name.partition(".")[0] for name in names if "." in name})
    return [*((family, f"{family}.*") for family in families), *((name, name) for name in names)]


def query_of(asked: Mapping[str, str]) -> EventQuery:
    """The query that the filters say. What cannot be read as a time is not filtered by: see `unreadable`."""
    return EventQuery(
        type=asked["type"],
        actor=asked["actor"],
        resource=asked["resource"],
        decision=asked["decision"],
        search=asked["q"],
        since=moment_in(asked["since"]),
        until=moment_in(asked["until"]),
    )


def unreadable(asked: Mapping[str, str]) -> list[str]:
    """The times among the filters that could not be read."""
    return [asked[name] for name in ("since", "until") if asked[name] and moment_in(asked[name]) is None]


def moment_in(text: str) -> datetime | None:
    """A moment: `2h`, `7d` (ago), `2026-01-31` or `2026-01-31 18:00` (UTC); None for anything else."""
    try:
        return timezone.now() - timedelta(seconds=seconds_in(text))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def fields_of(row: AuditEvent, longest: int = 0) -> list[tuple[str, str]]:
    """Everything one event says, as names and texts safe to look at; cut to `longest` characters if that is set."""
    told = [
        ("when", exact(row.at)),
        ("who", f"{row.actor_name or 'nobody'} ({row.actor_kind})"),
        ("about", f"{row.resource_name} ({row.resource_kind})" if row.resource_kind else ""),
        ("decision", row.decision),
        ("reasons", row.reasons),
        *row.data.items(),
        ("address", row.address),
        ("login session", row.login_session_id),
        ("access session", row.access_session_id),
        ("request id", row.request_id),
    ]
    texts = ((name.replace("_", " "), shown(value)) for name, value in told if value not in ("", None, [], {}))
    return [(name, f"{text[:longest]}…" if longest and len(text) > longest else text) for name, text in texts]


def event(seq: int) -> AuditEvent:
    """One event. Raises NotFound."""
    found = AuditEvent.objects.filter(pk=seq).first() if seq < 2**63 else None
    if found is None:
        raise NotFound("there is no such event")
    return found


def in_request(row: AuditEvent) -> list[AuditEvent]:
    """The other events of the same request."""
    if not row.request_id:
        return []
    return list(AuditEvent.objects.filter(request_id=row.request_id).exclude(pk=row.seq).order_by("seq")[:50])


def about_user(user: User) -> list[AuditEvent]:
    """What a user did, and what was done to them, last."""
    ident = str(user.pk)
    return list(AuditEvent.objects.filter(Q(actor_id=ident) | Q(resource_id=ident)).order_by("-seq")[:LATEST])


def about_resource(ident: Any) -> list[AuditEvent]:
    """What happened to or at an app, server, role or group last."""
    return list(AuditEvent.objects.filter(resource_id=str(ident)).order_by("-seq")[:LATEST])
