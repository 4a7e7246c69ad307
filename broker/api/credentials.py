"""Calls that hand out credentials: certificates, tokens for apps, and a server's first host certificate."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router

from broker.api.caller import ApiRequest
from broker.api.schemas import AccessAnswer, AccessBody, AppTokenAnswer, AppTokenBody, IdentityAnswer, IdentityBody
from broker.api.strict_json import BadRequest
from broker.audit.origin import Origin
from broker.ca.profile import CertificateKind
from broker.errors import NotFound
from broker.services import authorities
from broker.services.app_sessions import issue_app_token
from broker.services.certificates import Issued, issue_access, issue_identity
from broker.services.enrolment import host_certificate
from broker.services.openness import hiding
from broker.services.resources import app_address

router = Router(tags=["credentials"])
_ENROLMENT = re.compile(r"bearer +(ptn_enr_[0-9A-Za-z]{43})", re.IGNORECASE)
MAX_HOST_KEY = 8192


@router.post("certificates/access", response=AccessAnswer, summary="A certificate for one login on one server")
def access(request: ApiRequest, body: AccessBody) -> dict[str, Any]:
    """Five minutes at most; its serial and template are on record before it is signed."""
    caller = request.auth
    with hiding(f"there is no server {body.server!r}, or it is not yours", "list yours with: postern ls servers"):
        issued = issue_access(caller.origin, caller.subject, body.server, body.login, body.public_key, caller.live)
    if issued.server is None:
        raise NotFound(f"there is no server {body.server!r}")
    spec = issued.server.spec
    return {
        **_certificate(issued),
        "server": {"name": issued.server.name, "address": spec.host, "port": spec.port},
        "host_ca": authorities.trusted_lines(CertificateKind.HOST),
    }


@router.post("certificates/identity", response=IdentityAnswer, summary="A certificate that says who I am")
def identity(request: ApiRequest, body: IdentityBody) -> dict[str, Any]:
    """An hour at most; only Postern's own gateway and API take it."""
    return _certificate(issue_identity(request.auth.origin, request.auth.subject, body.public_key))


@router.post("app-tokens", response=AppTokenAnswer, summary="A bearer token for one app")
def app_token(request: ApiRequest, body: AppTokenBody) -> dict[str, Any]:
    """For command-line clients of an app; the app never sees it."""
    with hiding(f"there is no app {body.app!r}, or it is not yours", "list yours with: postern app ls"):
        token, session = issue_app_token(request.auth.origin, request.auth.session(), body.app)
    return {"token": token, "expires_at": session.expires_at, "url": app_address(body.app)}


@router.post(
    "enroll/host-certificate",
    auth=None,
    summary="A server's first host certificate",
    openapi_extra={
        "requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}},
        "responses": {200: {"description": "the certificate", "content": {"text/plain": {}}}},
    },
)
def enroll(request: HttpRequest) -> HttpResponse:
    """Takes an enrolment token as bearer, and the public host key as text; the names are those on our record."""
    match = _ENROLMENT.fullmatch(request.headers.get("Authorization", ""))
    origin = Origin(address=request.address, request_id=request.request_id)  # type: ignore[attr-defined]
    body = request.body[: MAX_HOST_KEY + 1]
    if len(body) > MAX_HOST_KEY:
        raise BadRequest("this is too long for a public key")
    try:
        key = body.decode("ascii").strip()
    except UnicodeDecodeError:
        raise BadRequest("this is not a public key in OpenSSH's format") from None
    certificate = host_certificate(origin, match[1] if match else "", key)
    return HttpResponse(certificate.strip() + "\n", content_type="text/plain; charset=utf-8")


def _certificate(issued: Issued) -> dict[str, Any]:
    template = issued.template
    return {
        "certificate": issued.certificate.strip(),
        "serial": template.serial,
        "key_id": template.key_id,
        "principals": list(template.principals),
        "valid_after": datetime.fromtimestamp(template.valid_after, UTC),
        "valid_before": datetime.fromtimestamp(template.valid_before, UTC),
    }
