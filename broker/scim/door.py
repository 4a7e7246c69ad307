"""The door: a client's own token opens it and nothing else does, and whatever goes wrong is told as SCIM tells it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from accounts import connectors
from accounts.requests import Request
from broker.api.strict_json import WrongType, parse_object
from broker.audit.origin import Origin
from broker.scim import answers
from broker.scim.bodies import MOST_MEMBERS
from broker.scim.words import must_be_keepable
from broker.services.scim_tokens import NotAClient, ScimClient, client_of

View = Callable[..., HttpResponse]
MOST_VALUES = 6 * MOST_MEMBERS
"""Values in one body: members come with name, kind and address."""
MAX_PAGE = 500
_TOKEN = re.compile(r"bearer +(ptn_scim_[0-9A-Za-z]{43})", re.IGNORECASE)
_VERSION = re.compile(r'(?:W/)?"([^"]*)"|(\*)')


class ScimRequest(Request):
    """A request of a client that is known."""

    client: ScimClient


def door(**views: View) -> View:
    """One view for an address: by method (`GET=…`), for clients only. Cookies count for nothing here."""

    @csrf_exempt
    def enter(request: HttpRequest, **words: str) -> HttpResponse:
        asked = cast(ScimRequest, request)
        try:
            asked.client = _client(asked)
            view = views.get(request.method or "")
            if view is None:
                return _wrong_method(request, sorted(views))
            response = view(asked, **words)
        except Exception as raised:
            return answers.error_for(raised, asked.request_id)
        connectors.note_ok(asked.client.connector)
        return response

    return enter


def body_of(request: ScimRequest) -> dict[str, Any]:
    """The object a client sent. Raises WrongType, BadRequest, Wrong."""
    if request.content_type not in (answers.TYPE, "application/json"):
        raise WrongType("the body is not marked as SCIM", f"send it with Content-Type: {answers.TYPE}")
    body = parse_object(request.body, MOST_VALUES)
    must_be_keepable(body)
    return body


def page_of(asked: Mapping[str, str]) -> tuple[int, int]:
    """Where a page begins, counted from 0, and how long it is."""
    return max(1, _number(asked.get("startIndex"), 1)) - 1, min(MAX_PAGE, max(0, _number(asked.get("count"), 100)))


def selection_of(asked: Mapping[str, str]) -> answers.Selection:
    """The attributes that the answer shall have."""
    return answers.Selection(_names(asked.get("attributes", "")), _names(asked.get("excludedAttributes", "")))


def versions_of(header: str | None) -> list[str] | None:
    """The versions in an `If-Match` or `If-None-Match`; None without one. What cannot be read matches nothing."""
    return None if header is None else [match[1] or match[2] or "" for match in _VERSION.finditer(header)]


def _client(request: ScimRequest) -> ScimClient:
    header = request.headers.get("Authorization", "")
    if not header:
        raise NotAClient
    match = _TOKEN.fullmatch(header)
    origin = Origin(address=request.address, request_id=request.request_id)
    return client_of(origin, match[1] if match else "")


def _wrong_method(request: HttpRequest, allowed: list[str]) -> HttpResponse:
    response = answers.error(405, f"{request.method} is not possible here")
    response.headers["Allow"] = ", ".join(allowed)
    return response


def _names(text: str) -> frozenset[str]:
    short = (name.strip().rpartition(":")[2].lower() for name in text.split(","))
    return frozenset(filter(None, short))


def _number(text: str | None, default: int) -> int:
    try:
        return int(text) if text and len(text) < 10 else default
    except ValueError:
        return default
