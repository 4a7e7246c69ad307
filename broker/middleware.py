"""Request context (id, address, origin of events) and the one place where failures become pages or JSON."""

from __future__ import annotations

import ipaddress
import logging
import re
import secrets
from collections.abc import Callable

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from broker.errors import PosternError

log = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponseBase]
_REQUEST_ID = re.compile(r"[0-9a-f]{16,64}")


class RequestContextMiddleware:
    """Gives each request an id and the peer's address, both as nginx (the only client of our socket) tells them."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-Id", "")
        request.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)  # type: ignore[attr-defined]
        request.address = _address(request)  # type: ignore[attr-defined]
        request.get_host()  # a name that is not ours is a 400 before anything else looks at the request
        response = self.get_response(request)
        response.headers["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def _address(request: HttpRequest) -> str:
    given = request.headers.get("X-Real-Ip", "") or request.META.get("REMOTE_ADDR", "")
    try:
        address = ipaddress.ip_address(given)
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


class ErrorsMiddleware:
    """Turns what services raise into a page (the API has its own table, in `broker.api`)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The page for a failure; None lets Django make its bland 500."""
        from broker.console.errors import page_for

        if isinstance(error, PosternError):
            return page_for(request, error)
        if not isinstance(error, Http404 | PermissionDenied | SuspiciousOperation):  # which are answers, not failures
            log.exception("request %s failed", getattr(request, "request_id", "?"))
        return None
