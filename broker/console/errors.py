"""One table from failures to pages: what happened, what to do next, and the request id to quote."""

from __future__ import annotations

import math
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from broker.errors import Conflict, Denied, Invalid, NotFound, PosternError, Throttled, Unavailable

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
        context["next_steps"] = [{"text": error.hint}]
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
