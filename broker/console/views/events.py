"""The audit log: filtered, one event, and as a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from accounts.requests import SignedInRequest
from broker.console import export, lists
from broker.console.desk import desk
from broker.console.entry import console_page
from broker.console.queries import events
from broker.models import AuditEvent
from broker.services.events import export_events, search_events

DECISIONS = (("permit", "permit"), ("denial", "denial"))
PER_PAGE = 40
CUT = 300
"""Characters of a field in the list; the event's own page shows it whole."""


@console_page("event.list")
def event_list(request: SignedInRequest) -> HttpResponse:
    """The log, the newest first."""
    query, at = lists.asked(request, *events.FILTERS), desk(request)
    cursor = request.GET.get("cursor", "")
    found = search_events(request.origin, at.subject, events.query_of(query), limit=PER_PAGE, cursor=cursor)
    may_explain = _may_explain(request)
    context = {
        "rows": [
            {"event": row, "fields": events.fields_of(row, CUT), "why_url": _why_url(row) if may_explain else ""}
            for row in found.items
        ],
        "next_cursor": found.next,
        "first": bool(cursor),
        "query": query,
        "unreadable": events.unreadable(query),
        "types": events.kinds(),
        "decisions": DECISIONS,
        "filtered": any(query.values()),
        "export_query": urlencode({name: text for name, text in query.items() if text}),
    }
    return render(request, "console/events/list.html", context)


@console_page("event.read")
def event_page(request: SignedInRequest, ident: int) -> HttpResponse:
    """One event with everything it says, and what else its request did."""
    row, at = events.event(ident), desk(request)
    context = {
        "event": row,
        "fields": events.fields_of(row),
        "others": events.in_request(row),
        "resource_url": _resource_url(row) if at.may(f"{row.resource_kind}.read") else "",
        "actor_url": reverse("console:user", args=[row.actor_name]) if _is_user(row) and at.may("user.read") else "",
        "why_url": _why_url(row) if _may_explain(request) else "",
        "may_see_sessions": at.may("session.read"),
    }
    return render(request, "console/events/page.html", context)


@console_page("event.list")
def event_export(request: SignedInRequest) -> HttpResponseBase:
    """What the filters let through, the oldest first, as JSON lines or (`format=csv`) CSV."""
    query = events.query_of(lists.asked(request, *events.FILTERS))
    found = export_events(request.origin, desk(request).subject, query)
    as_csv = request.GET.get("format") == "csv"
    lines = _csv(found) if as_csv else (export.as_jsonl(row) for row in found)
    response = StreamingHttpResponse(
        export.streamed(lines), content_type="text/csv; charset=utf-8" if as_csv else "application/jsonl"
    )
    name = f"postern-events-{timezone.now():%Y%m%d-%H%M%S}.{'csv' if as_csv else 'jsonl'}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _csv(found: Iterator[AuditEvent]) -> Iterator[str]:
    yield export.csv_line(export.COLUMNS)
    for row in found:
        yield export.as_csv(row)


def _may_explain(request: SignedInRequest) -> bool:
    return desk(request).may_all("user.read", "role.read")


def _is_user(row: AuditEvent) -> bool:
    return row.actor_kind in ("person", "machine") and bool(row.actor_name)


def _resource_url(row: AuditEvent) -> str:
    if row.resource_kind in ("user", "group", "role", "app", "server") and row.resource_name:
        return reverse(f"console:{row.resource_kind}", kwargs={"name": row.resource_name})
    return ""


def _why_url(row: AuditEvent) -> str:
    """The question that this event's denial answers, to be asked again."""
    if row.name != "access.denied" or not _is_user(row):
        return ""
    data: dict[str, Any] = row.data
    asked = {
        "user": row.actor_name,
        "action": data.get("action", ""),
        "resource": row.resource_name,
        "login": data.get("login", ""),
        "method": data.get("method", ""),
        "path": data.get("path", ""),
        "address": row.address,
        "at": f"{row.at:%Y-%m-%d %H:%M:%S}",
    }
    return f"{reverse('console:why')}?{urlencode({name: text for name, text in asked.items() if text})}"
