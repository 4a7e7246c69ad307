"""What clients get: users and groups as the standard writes them, lists, and errors (RFC 7644, 3.4.2, 3.12)."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse, JsonResponse

from broker.api.strict_json import BadRequest, WrongType
from broker.errors import Conflict, Invalid, NotFound, PosternError, Throttled, Unavailable
from broker.scim.bodies import TooMany
from broker.scim.words import ERROR, GROUP, LIST, USER, Wrong
from broker.services.scim_groups import KeptGroup, NotTheirs
from broker.services.scim_tokens import NotAClient
from broker.services.scim_users import ProvisionedUser, Stale

log = logging.getLogger(__name__)
TYPE = "application/scim+json"

STATUSES: tuple[tuple[type[PosternError], int, str], ...] = (
    (TooMany, 413, "tooMany"),
    (Wrong, 400, ""),
    (BadRequest, 400, "invalidSyntax"),
    (WrongType, 415, ""),
    (NotAClient, 401, ""),
    (NotTheirs, 403, ""),
    (NotFound, 404, ""),
    (Stale, 412, ""),
    (Conflict, 409, "uniqueness"),
    (Invalid, 400, "invalidValue"),
    (Throttled, 429, ""),
    (Unavailable, 503, ""),
)
"""The first that fits; what is not here is a bland 500."""


def answer(body: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """An answer with a body. A single thing's version is its ETag."""
    response = JsonResponse(dict(body), status=status, content_type=TYPE)
    meta = body.get("meta", {})
    if "version" in meta:
        response.headers["ETag"] = meta["version"]
    if status == 201:
        response.headers["Location"] = meta["location"]
    return response


def nothing(version: str = "") -> HttpResponse:
    """Done, and nothing to tell but perhaps the new version."""
    response = HttpResponse(status=204)
    if version:
        response.headers["ETag"] = etag(version)
    return response


def error(status: int, detail: str, kind: str = "") -> HttpResponse:
    """An error document."""
    body = {"schemas": [ERROR], "status": str(status), "detail": detail}
    response = JsonResponse({**body, "scimType": kind} if kind else body, status=status, content_type=TYPE)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="postern-scim"'
    return response


def error_for(raised: Exception, request_id: str, also: str = "") -> HttpResponse:
    """The answer for what was raised; `also` is what was done all the same."""
    if isinstance(raised, RequestDataTooBig):
        return error(413, "the body is larger than we take; send it in parts")
    for kind, status, name in STATUSES:
        if isinstance(raised, kind):
            words = "; ".join(filter(None, (raised.message, raised.hint, also)))
            response = error(status, words, raised.kind if isinstance(raised, Wrong) else name)
            if isinstance(raised, Throttled):
                response.headers["Retry-After"] = str(max(1, math.ceil(raised.retry_after)))
            return response
    log.error("request %s failed", request_id, exc_info=raised)
    return error(500, f"something went wrong here; tell an administrator, with the request id {request_id}")


def etag(version: str) -> str:
    """A weak one: the same thing may be written in other words."""
    return f'W/"{version}"'


@dataclass(frozen=True, slots=True)
class Selection:
    """The attributes a client asks for (none: all), and those it does not want; dotted for parts of them."""

    wanted: frozenset[str] = frozenset()
    unwanted: frozenset[str] = frozenset()

    def has(self, attribute: str) -> bool:
        """Whether an attribute, or a part of it, will be in the answer."""
        name = attribute.lower()
        if self.wanted:
            return any(path == name or path.startswith(f"{name}.") for path in self.wanted)
        return name not in self.unwanted

    def of(self, whole: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a resource that was asked for; `id` and `schemas` are always in it."""
        return {
            key: self._inner(key.lower(), value)
            for key, value in whole.items()
            if key in ("id", "schemas") or self.has(key)
        }

    def _inner(self, name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._inner(name, item) for item in value]
        if not isinstance(value, dict) or name in self.wanted:
            return value
        return {
            key: item
            for key, item in value.items()
            if f"{name}.{key.lower()}" not in self.unwanted
            and (not self.wanted or f"{name}.{key.lower()}" in self.wanted)
        }


def user(row: ProvisionedUser) -> dict[str, Any]:
    """A user as the standard writes it."""
    groups = [
        {"value": ident, "display": name, "$ref": location("Groups", ident), "type": "direct"}
        for ident, name in row.groups
    ]
    meta = _meta("User", row.id, row.created_at, row.changed_at, row.version)
    return {"schemas": [USER], "id": row.id, **row.said, "active": row.active, "groups": groups, "meta": meta}


def group(row: KeptGroup) -> dict[str, Any]:
    """A group as the standard writes it."""
    body: dict[str, Any] = {"schemas": [GROUP], "id": row.id, "displayName": row.display_name}
    if row.external_id:
        body["externalId"] = row.external_id
    if row.members is not None:
        body["members"] = [
            {"value": ident, "display": name, "$ref": location("Users", ident), "type": "User"}
            for ident, name in row.members
        ]
    return {**body, "meta": _meta("Group", row.id, row.created_at, row.changed_at, row.version)}


def listed(items: Sequence[Mapping[str, Any]], total: int, start: int) -> HttpResponse:
    """A page of a list; `start` is counted from 0 here, from 1 there."""
    page = {"totalResults": total, "startIndex": start + 1, "itemsPerPage": len(items), "Resources": list(items)}
    return answer({"schemas": [LIST], **page})


def location(*parts: str) -> str:
    """The address of something here."""
    return "/".join((f"{settings.POSTERN.url}/scim/v2", *parts))


def _meta(kind: str, ident: str, created: datetime, changed: datetime, version: str) -> dict[str, str]:
    return {
        "resourceType": kind,
        "created": _moment(created),
        "lastModified": _moment(changed),
        "location": location(f"{kind}s", ident),
        "version": etag(version),
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
