"""Administration: documents, locks, people and servers. Each call is one service, and policy decides in the service."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from ninja import Router, Status

from broker.api.caller import ApiRequest
from broker.api.schemas import (
    ApplyAnswer,
    ApplyBody,
    DocumentList,
    EnableAnswer,
    Ended,
    EnrollAnswer,
    EnrollBody,
    LinkAnswer,
    LockBody,
    LockList,
    LockMade,
    ResetAnswer,
    TokenAnswer,
)
from broker.documents.duration import parse_duration
from broker.errors import Invalid, Problem
from broker.models import Lock
from broker.services import documents, enrolment, factor_resets, locks, scim_tokens, users
from broker.services.apply import Source, apply
from broker.services.enact import Outcome

router = Router(tags=["administration"])


@router.post("apply", response=ApplyAnswer, summary="Bring everything to what documents say")
def apply_documents(request: ApiRequest, body: ApplyBody) -> dict[str, Any]:
    """All of it or nothing. With `prune`, what the documents no longer hold goes too, but only if `confirm` is true."""
    sources = [Source(item.source, item.text) for item in body.documents]
    caller = request.auth
    outcome = apply(
        caller.origin, caller.subject, sources, dry_run=body.dry_run, prune=body.prune, confirm=body.confirm
    )
    return _outcome(outcome)


@router.get("locks", response=LockList, summary="The locks that stand")
def list_locks(request: ApiRequest) -> dict[str, Any]:
    """Newest first."""
    return {"items": [_lock(lock) for lock in locks.list_locks(request.auth.origin, request.auth.subject)]}


@router.post("locks", response={201: LockMade}, summary="Lock somebody or something out")
def create_lock(request: ApiRequest, body: LockBody) -> Status[dict[str, Any]]:
    """Beats every role, at once and everywhere."""
    caller = request.auth
    placed = locks.create_lock(
        caller.origin,
        caller.subject,
        body.target.kind,
        body.target.name,
        ttl=_seconds(body.ttl),
        reason=body.reason,
    )
    return Status(201, {**_lock(placed.lock), "ends_sessions": placed.ends_sessions})


@router.delete("locks/{uuid:lock_id}", response={204: None}, summary="Lift a lock")
def lift_lock(request: ApiRequest, lock_id: UUID) -> HttpResponse:
    """Whoever it stopped may go on as their roles say."""
    locks.lift_lock(request.auth.origin, request.auth.subject, lock_id)
    return HttpResponse(status=204)


@router.post("users/{name}/invite", response=LinkAnswer, summary="A one-use link for a user to come in")
def invite_user(request: ApiRequest, name: str) -> dict[str, Any]:
    """Links made before stop working."""
    link = users.invite_user(request.auth.origin, request.auth.subject, name)
    return {"url": link.url, "expires_at": link.expires_at}


@router.post("users/{name}/disable", response=Ended, summary="Disable a user, at once")
def disable_user(request: ApiRequest, name: str) -> dict[str, Any]:
    """Ends every session of theirs."""
    return {"ends_sessions": users.disable_user(request.auth.origin, request.auth.subject, name)}


@router.post("users/{name}/enable", response=EnableAnswer, summary="Enable a disabled user")
def enable_user(request: ApiRequest, name: str) -> dict[str, Any]:
    """Sessions that ended stay ended."""
    return {"enabled": users.enable_user(request.auth.origin, request.auth.subject, name)}


@router.post("users/{name}/reset-mfa", response=ResetAnswer, summary="Ask to forget a user's second factor")
def reset_mfa(request: ApiRequest, name: str) -> dict[str, Any]:
    """Takes effect when a second administrator approves, or at `waits_until`; the link then lets them enrol anew."""
    reset = factor_resets.reset_mfa(request.auth.origin, request.auth.subject, name)
    return {
        "url": reset.link.url if reset.link else None,
        "expires_at": reset.link.expires_at if reset.link else None,
        "ends_sessions": reset.ends_sessions,
        "waits_until": reset.waits_until,
    }


@router.post("users/{name}/approve-reset", response=Ended, summary="Approve a reset that another asked for")
def approve_reset(request: ApiRequest, name: str) -> dict[str, Any]:
    """Ends every session of theirs; their second factors and recovery codes are forgotten."""
    return {"ends_sessions": factor_resets.approve_reset(request.auth.origin, request.auth.subject, name)}


@router.post("users/{name}/cancel-reset", response={204: None}, summary="Take a reset that waits back")
def cancel_reset(request: ApiRequest, name: str) -> HttpResponse:
    """Its link is dead, nothing is lost."""
    factor_resets.cancel_reset(request.auth.origin, request.auth.subject, name)
    return HttpResponse(status=204)


@router.post("connectors/{name}/token", response=TokenAnswer, summary="A token for a SCIM client")
def make_scim_token(request: ApiRequest, name: str) -> dict[str, Any]:
    """Told once; the one before stops working."""
    made = scim_tokens.make_token(request.auth.origin, request.auth.subject, name)
    return {"token": made.token, "made_at": made.made_at, "url": f"{settings.POSTERN.url}/scim/v2"}


@router.post("servers/{name}/enroll", response=EnrollAnswer, summary="The script by which a server comes to trust us")
def enroll_server(request: ApiRequest, name: str, body: EnrollBody) -> dict[str, Any]:
    """With the host key at hand the script needs no way to us; else it holds a token that works once."""
    script, expires_at = enrolment.prepare(request.auth.origin, request.auth.subject, name, body.host_key)
    return {"script": script, "expires_at": expires_at}


# Below: addresses with a free first part, after those whose first part is a word.


@router.get("{kind}", response=DocumentList, summary="Every document of a kind")
def list_documents(request: ApiRequest, kind: str) -> dict[str, Any]:
    """Kinds: role, role_binding, user, group, app, server, oidc, ldap, scim."""
    return {"items": documents.list_documents(request.auth.origin, request.auth.subject, kind)}


@router.get("{kind}/{name}", response=dict[str, Any], summary="One document")
def read_document(request: ApiRequest, kind: str, name: str) -> dict[str, Any]:
    """As `apply` takes it."""
    return documents.read_document(request.auth.origin, request.auth.subject, kind, name)


@router.delete("{kind}/{name}", response=Ended, summary="Remove a thing")
def delete_document(request: ApiRequest, kind: str, name: str, dry_run: bool = False) -> dict[str, Any]:
    """Ends what hangs on it; with `dry_run` only tells how much that is."""
    caller = request.auth
    outcome = documents.delete_document(caller.origin, caller.subject, kind, name, dry_run=dry_run)
    return {"ends_sessions": outcome.ends_sessions}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "changes": [asdict(change) for change in outcome.changes],
        "applied": outcome.applied,
        "unchanged": outcome.unchanged,
        "ends_sessions": outcome.ends_sessions,
    }


def _lock(lock: Lock) -> dict[str, Any]:
    return {
        "id": lock.pk,
        "target": {"kind": lock.target_kind, "name": lock.target_name},
        "reason": lock.reason,
        "created_by": lock.created_by,
        "created_at": lock.created_at,
        "expires_at": lock.expires_at,
    }


def _seconds(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Invalid(f"ttl {error}", "such as 30m or 1h", [Problem(f"ttl {error}", path="ttl")]) from None
