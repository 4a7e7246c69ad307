"""One table from failures to pages: what happened, what to do next, and the request id to quote."""

from __future__ import annotations

import math
import time
from typing import Any, cast
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import resolve

from accounts.destinations import HOME, safe_next
from accounts.requests import SignedInRequest
from broker.errors import Conflict, Denied, Invalid, NotFound, PosternError, Throttled, Unavailable
from broker.services.asking import confirm_path, just_confirmed

_PAGES: dict[type[PosternError], tuple[int, str]] = {
    NotFound: (404, "errors/404.html"),
    Conflict: (409, "errors/409.html"),
    Invalid: (400, "errors/400.html"),
    Throttled: (429, "errors/429.html"),
    Unavailable: (503, "errors/503.html"),
    Denied: (403, "errors/403.html"),
}


def page_for(request: HttpRequest, error: PosternError) -> HttpResponse:
    """The page for what a service raised; what the table does not know is a bland 500."""
    if isinstance(error, Denied) and error.denial.confirmable and getattr(request, "login_session", None):
        return _ask(cast(SignedInRequest, request), error)
    return _page_for(request, error)


def _ask(request: SignedInRequest, error: Denied) -> HttpResponse:
    """Lead to where the second factor is given, and back. What was sent in a form is neither done nor kept."""
    where = confirm_path(_page_of_form(request), error.denial)
    if request.headers.get("HX-Request"):
        response = HttpResponse(status=403)
        response.headers["HX-Redirect"] = where
        return response
    mfa_at = request.login_session.mfa_at
    navigating = request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate" and request.method in ("GET", "HEAD")
    if navigating and not just_confirmed(mfa_at.timestamp() if mfa_at else None, time.time(), error.denial):
        return HttpResponseRedirect(where)
    return _page_for(request, error, where)


def _page_of_form(request: SignedInRequest) -> str:
    """The page to come back to: this one, or where the form stood that was sent to an address without a page."""
    if "GET" in getattr(resolve(request.path).func, "methods", ("GET",)):
        return request.get_full_path() if request.method in ("GET", "HEAD") else request.path
    came_from = urlsplit(request.headers.get("Referer", ""))
    return safe_next(came_from.path) if came_from.netloc == request.get_host() else HOME


def _page_for(request: HttpRequest, error: PosternError, confirm_at: str = "") -> HttpResponse:
    status, template = _PAGES.get(type(error), (500, "errors/500.html"))
    context: dict[str, Any] = {"text": error.message, "hint": error.hint}
    if isinstance(error, Denied):
        # the message says what the first reason means for this attempt
        first, *others = error.denial.reasons or ("",)
        context["text"] = ""
        context["reasons"] = [
            {"reason": str(first), "text": error.message},
            *({"reason": str(reason), "text": ""} for reason in others),
        ]
    if isinstance(error, Invalid):
        context["problems"] = [str(problem) for problem in error.problems]
    if error.hint:
        context["next_steps"] = [{"text": error.hint, "url": confirm_at}]
    if confirm_at and request.method == "POST":
        context["text"] = (
            "Nothing was changed, and what you sent is not kept: confirm that it is you, then send it again."
        )
    if isinstance(error, Throttled):
        context["retry_after"] = math.ceil(error.retry_after)
    response = error_page(request, template, status, **context)
    if isinstance(error, Throttled):
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return response


def error_page(request: HttpRequest, template: str, status: int, **context: Any) -> HttpResponse:
    """An error page that stands alone: it needs no database and no style sheet."""
    context.setdefault("request_id", getattr(request, "request_id", ""))
    context.setdefault("home_url", "/")
    context["csp_nonce"] = str(getattr(request, "csp_nonce", ""))
    # not render(): the context processors ask the database, which may be what broke
    return HttpResponse(render_to_string(template, context), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 400."""
    return error_page(request, "errors/400.html", 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 403."""
    return error_page(request, "errors/403.html", 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 404."""
    return error_page(request, "errors/404.html", 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's 500: says nothing but the request id."""
    return error_page(request, "errors/500.html", 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without its token: an old page, or somebody else's."""
    return error_page(
        request,
        "errors/403.html",
        403,
        text="this form was too old, or did not come from our page, so nothing was done",
        next_steps=[{"text": "go back, reload the page and send it again"}],
    )
