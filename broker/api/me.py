"""Calls about oneself: who I am, what I may use, why not, and the end of my session."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from ninja import Router

from accounts.services.login_sessions import end_login_session
from accounts.sessions import ends_at
from broker import live as live_state
from broker.api.caller import ApiRequest
from broker.api.schemas import ResourcePage, SshAnswer, StatusAnswer, WhyAnswer, WhyBody
from broker.ca.profile import CertificateKind
from broker.policy import Denial, Explanation, Permit, Tried
from broker.services import authorities
from broker.services.certificates import SUFFIX
from broker.services.resources import Usable, list_resources, list_servers
from broker.services.why import Question, explain_access
from broker.version import VERSION

router = Router(tags=["mine"])
_TERMS = ("pty", "forward_agent", "forward_local", "forward_remote", "forward_x11", "file_copy", "pin_source")


@router.get("status", response=StatusAnswer, summary="Who I am")
def status(request: ApiRequest) -> dict[str, Any]:
    """The caller, their roles and their login session."""
    caller = request.auth
    subject, session = caller.subject, caller.session()
    return {
        "user": subject.name,
        "full_name": session.user.full_name,
        "kind": subject.kind,
        "roles": sorted({grant.role for grant in live_state.current().grants(subject.id)}),
        "groups": sorted(subject.groups),
        "traits": {name: list(values) for name, values in subject.traits.items()},
        "session": {
            "id": session.pk,
            "kind": session.kind,
            "started_at": session.created_at,
            "expires_at": ends_at(session),
            "mfa_at": session.mfa_at,
            "amr": session.amr,
            "key_thumbprint": session.key_thumbprint,
        },
        "broker": {"url": settings.POSTERN.url, "name": settings.POSTERN.name, "version": VERSION},
    }


@router.delete("session", response={204: None}, summary="Sign this CLI out")
def sign_out(request: ApiRequest) -> HttpResponse:
    """End the caller's own login session."""
    end_login_session(request.auth.origin, request.auth.session())
    return HttpResponse(status=204)


@router.get("resources", response=ResourcePage, exclude_none=False, summary="What I may use")
def resources(
    request: ApiRequest, kind: str = "", search: str = "", limit: int | None = None, cursor: str = ""
) -> dict[str, Any]:
    """Apps and servers that some role of the caller opens; no others are named."""
    caller = request.auth
    page = list_resources(caller.origin, caller.subject, kind=kind, search=search, limit=limit, cursor=cursor)
    return {"items": [_resource(item) for item in page.items], "next": page.next or None}


@router.get("ssh", response=SshAnswer, summary="What my ssh_config needs")
def ssh(request: ApiRequest) -> dict[str, Any]:
    """Every server the caller may log in to, and the keys that vouch for servers."""
    servers = list_servers(request.auth.origin, request.auth.subject)
    return {
        "suffix": SUFFIX,
        "host_ca": authorities.trusted_lines(CertificateKind.HOST),
        "servers": [
            {"name": item.name, "address": item.address, "port": item.port, "logins": list(item.logins)}
            for item in servers
        ],
    }


@router.post("why", response=WhyAnswer, summary="Why something is permitted or denied")
def why(request: ApiRequest, body: WhyBody) -> dict[str, Any]:
    """The decision on an attempt, and how each role fared. Nothing is attempted by asking."""
    caller = request.auth
    question = Question(
        action=body.action,
        kind=body.resource.kind,
        name=body.resource.name,
        user=body.user,
        login=body.login,
        method=body.method,
        path=body.path,
        address=body.address,
        at=body.at.timestamp() if body.at else None,
    )
    answer = explain_access(caller.origin, caller.subject, question)
    return {"subject": answer.subject, "assumed": answer.assumed, **explained(answer.explanation)}


def explained(explanation: Explanation) -> dict[str, Any]:
    """An explanation as the API tells it."""
    decision = explanation.decision
    reasons = decision.reasons if isinstance(decision, Denial) else (decision.reason,)
    return {
        "decision": "permit" if decision.permitted else "denial",
        "text": explanation.text,
        "hint": explanation.hint,
        "reasons": [
            {"reason": str(reason), "text": explanation.text if number == 0 else str(reason).replace("-", " ")}
            for number, reason in enumerate(reasons)
        ],
        "terms": _terms(decision) if isinstance(decision, Permit) else {},
        "roles": [_tried(tried) for tried in explanation.tried],
    }


def _tried(tried: Tried) -> dict[str, Any]:
    return {**asdict(tried), "failed": str(tried.failed) if tried.failed else None}


def _terms(permit: Permit) -> dict[str, Any]:
    finite = math.isfinite(permit.ends_at) and permit.ends_at > 0
    return {
        "roles": list(permit.roles),
        "ends_at": int(permit.ends_at) if finite else None,
        "max_ttl": int(permit.max_ttl) if math.isfinite(permit.max_ttl) else None,
        **{name: getattr(permit, name) for name in _TERMS},
    }


def _resource(item: Usable) -> dict[str, Any]:
    shared = {"kind": item.kind, "name": item.name, "labels": dict(item.labels), "description": item.description}
    if item.kind == "app":
        return {**shared, "url": item.url}
    return {**shared, "address": item.address, "port": item.port, "logins": list(item.logins)}
