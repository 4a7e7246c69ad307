"""What happened and what is going on: the audit log and sessions, filtered and paged in the database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Router

from accounts.models import LoginSession
from accounts.sessions import ends_at
from broker.api.caller import ApiRequest
from broker.api.schemas import AccessSessionPage, Ended, EventPage, LoginSessionPage
from broker.models import AccessSession, AuditEvent
from broker.services import events, sessions
from broker.services.events import EventQuery
from broker.services.sessions import SessionQuery

router = Router(tags=["history"])
_DECISIONS = {"deny": "denial"}
_ACCESS_FIELDS = (
    *("id", "protocol", "credential", "login", "roles", "address", "login_session_id", "certificate_serial"),
    *("started_at", "last_used_at", "expires_at", "ended_at", "ended_reason"),
)
_LOGIN_FIELDS = ("id", "kind", "device_name", "address", "amr", "mfa_at", "last_seen_at", "ended_at", "ended_reason")


@router.get("events", response=EventPage, summary="Search the audit log")
def search_events(
    request: ApiRequest,
    type: str = "",
    actor: str = "",
    resource: str = "",
    decision: Literal["", "permit", "denial", "deny"] = "",
    search: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
    cursor: str = "",
) -> dict[str, Any]:
    """Newest first. Searching is itself on record."""
    decision_name = _DECISIONS.get(decision, decision)
    query = EventQuery(type, actor, resource, decision_name, search, _aware(since), _aware(until))
    page = events.search_events(request.auth.origin, request.auth.subject, query, limit=limit, cursor=cursor)
    return {"items": [event_answer(row) for row in page.items], "next": page.next or None}


@router.get("sessions", response=AccessSessionPage, summary="Access sessions")
def list_access_sessions(
    request: ApiRequest,
    user: str = "",
    resource: str = "",
    active: bool = False,
    search: str = "",
    limit: int | None = None,
    cursor: str = "",
) -> dict[str, Any]:
    """Each use of one resource, newest first."""
    query = SessionQuery(user, resource, active, search)
    caller = request.auth
    page = sessions.list_access_sessions(caller.origin, caller.subject, query, limit=limit, cursor=cursor)
    return {"items": [_access_session(row) for row in page.items], "next": page.next or None}


@router.get("login-sessions", response=LoginSessionPage, summary="Login sessions")
def list_login_sessions(
    request: ApiRequest,
    user: str = "",
    active: bool = False,
    search: str = "",
    limit: int | None = None,
    cursor: str = "",
) -> dict[str, Any]:
    """Who is and was signed in, newest first."""
    query = SessionQuery(user, "", active, search)
    caller = request.auth
    page = sessions.list_login_sessions(caller.origin, caller.subject, query, limit=limit, cursor=cursor)
    return {"items": [_login_session(row) for row in page.items], "next": page.next or None}


@router.delete("login-sessions/{uuid:session_id}", response=Ended, summary="End a login session")
def revoke_login_session(request: ApiRequest, session_id: UUID) -> dict[str, Any]:
    """And every use of apps and servers that rests on it."""
    return {"ends_sessions": sessions.revoke_login_session(request.auth.origin, request.auth.subject, session_id)}


def _aware(at: datetime | None) -> datetime | None:
    """A time without a zone is meant in UTC, as all our times are written."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def event_answer(row: AuditEvent) -> dict[str, Any]:
    """An event as the API and exports tell it."""
    return {
        "seq": row.seq,
        "at": row.at,
        "type": row.name,
        "actor": {"kind": row.actor_kind, "id": row.actor_id, "name": row.actor_name},
        "resource": {"kind": row.resource_kind, "id": row.resource_id, "name": row.resource_name},
        "decision": row.decision,
        "reasons": row.reasons,
        "address": row.address,
        "request_id": row.request_id,
        "login_session_id": row.login_session_id,
        "access_session_id": row.access_session_id,
        "data": row.data,
    }


def _access_session(row: AccessSession) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in _ACCESS_FIELDS}
    return {"user": row.user_name, "resource": row.resource_name, **shown}


def _login_session(row: LoginSession) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in _LOGIN_FIELDS}
    return {"user": row.user.username, "started_at": row.created_at, "expires_at": ends_at(row), **shown}
