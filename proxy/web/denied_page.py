"""The page for somebody who may not open an app: what was missing in words, what to do next, the id to quote."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from broker.console.errors import error_page
from broker.policy import Attempt, Context, Denial, Reason, Resource, Subject
from broker.policy.attempt import APP_REQUEST
from broker.policy.words import hint_of, text_of
from broker.services.asking import confirm_path, launch_path

_SIGN_IN = frozenset({Reason.SESSION_TOO_OLD, Reason.SESSION_EXPIRED, Reason.NOT_SIGNED_IN})


def denied_page(
    request: HttpRequest,
    app_name: str,
    denial: Denial,
    *,
    target: str = "/",
    method: str = "GET",
    user: str = "",
) -> HttpResponse:
    """The page; programs get the same from nginx, as a problem in JSON."""
    subject = Subject("", user) if user else None
    resource = Resource("app", "", app_name or "this app")
    attempt = Attempt(subject, APP_REQUEST, resource, Context(time.time()), method=method)
    reasons, detail = denial.reasons, denial.detail
    told = [{"reason": str(reason), "text": text_of(reason, attempt)} for reason in reasons[:3]]
    if told and detail and reasons[0] is Reason.LOCKED:
        told[0]["text"] += f": {detail}"
    steps = _next_steps(denial, app_name, target)
    context: dict[str, Any] = {"app_name": app_name, "reasons": told, "next_steps": steps, "me": {"name": user}}
    return error_page(request, "errors/403.html", 403, home_url=settings.POSTERN.url, **context)


def problem(request: HttpRequest, status: int, title: str, detail: str, hint: str) -> HttpResponse:
    """A problem document (RFC 9457)."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "reasons": [],
        "hint": hint,
        "request_id": getattr(request, "request_id", ""),
    }
    return JsonResponse(document, status=status, content_type="application/problem+json")


def _next_steps(denial: Denial, app_name: str, target: str) -> list[dict[str, str]]:
    if not denial.reasons:
        return []
    first, url = denial.reasons[0], settings.POSTERN.url
    back = launch_path(app_name, target, asked=True)
    if denial.confirmable:
        return [{"text": hint_of(first), "url": url + confirm_path(back, denial)}]
    if first in _SIGN_IN:
        return [{"text": hint_of(first), "url": f"{url}/sign-in?next={quote(back, safe='/')}"}]
    hint = hint_of(first)
    return [{"text": hint}] if hint else []
