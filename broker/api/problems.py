"""One table from failures to answers: problem details (RFC 9457) with the request id, and nothing of our insides."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from broker.api.caller import ClockOff
from broker.api.confirm import offer
from broker.api.strict_json import BadRequest, WrongType
from broker.errors import Conflict, Denied, Invalid, NotFound, PosternError, Problem, Throttled, Unavailable
from broker.policy import Reason

log = logging.getLogger(__name__)

STATUSES: Mapping[type[PosternError], tuple[int, str]] = {
    BadRequest: (400, "bad request"),
    Denied: (403, "denied"),
    NotFound: (404, "not found"),
    Conflict: (409, "conflict"),
    WrongType: (415, "not JSON"),
    Invalid: (422, "bad input"),
    Throttled: (429, "too many tries"),
    Unavailable: (503, "unavailable"),
}
_SIGN_IN = frozenset({Reason.NOT_SIGNED_IN, Reason.SESSION_EXPIRED})
_SIGN_IN_HINT = "sign in: postern login"
_SIGN_IN_AGAIN_HINT = "sign in again: postern login"
_CHALLENGE = 'DPoP algs="ES256"'
CLOCK_OFF = "clock-off"


def problem(request: HttpRequest, status: int, title: str, detail: str, hint: str = "", **more: Any) -> HttpResponse:
    """The answer for a failure."""
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "reasons": more.pop("reasons", []),
        "hint": hint,
        "request_id": getattr(request, "request_id", ""),
        **more,
    }
    response = JsonResponse(body, status=status, content_type="application/problem+json")
    if status == 401:
        response.headers["WWW-Authenticate"] = _challenge(request)
    return response


def _challenge(request: HttpRequest) -> str:
    """How to come in (RFC 9449, 7.1); to somebody who tried, that it did not do."""
    return f'{_CHALLENGE}, error="invalid_token"' if "Authorization" in request.headers else _CHALLENGE


def answer_for(request: HttpRequest, error: Any) -> HttpResponse:
    """The answer for what a service raised; what the table does not know is a bland 500."""
    status, title = next((STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES), (500, ""))
    if status == 500:
        return unexpected(request, error)
    more: dict[str, Any] = {}
    if isinstance(error, Denied):
        reasons = error.denial.reasons
        more["reasons"] = [
            {"reason": str(reason), "text": error.message if number == 0 else str(reason).replace("-", " ")}
            for number, reason in enumerate(reasons)
        ]
        if reasons[0] in _SIGN_IN:
            return problem(request, 401, "sign in", error.message, error.hint or _SIGN_IN_HINT, **more)
        if ways := offer(request, error.denial):
            more["confirm"] = ways
    if isinstance(error, Invalid):
        more["problems"] = [asdict(item) for item in error.problems]
    response = problem(request, status, title, error.message, error.hint, **more)
    if isinstance(error, Throttled):
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return response


def not_signed_in(request: HttpRequest, _: object = None) -> HttpResponse:
    """No credential, or one that is not good (any more), or without its key: they sound the same."""
    reasons = [{"reason": str(Reason.NOT_SIGNED_IN), "text": "nobody is signed in"}]
    hint = _SIGN_IN_AGAIN_HINT if "Authorization" in request.headers else _SIGN_IN_HINT
    return problem(request, 401, "sign in", "nobody is signed in", hint, reasons=reasons)


def clock_off(request: HttpRequest, error: Any) -> HttpResponse:
    """A call that is good but for its time."""
    reasons = [{"reason": CLOCK_OFF, "text": error.message}]
    answer = problem(request, 401, "wrong time", error.message, error.hint, reasons=reasons)
    answer.headers["WWW-Authenticate"] = f'{_CHALLENGE}, error="invalid_dpop_proof"'
    return answer


def no_such_address(request: HttpRequest, _: object = None) -> HttpResponse:
    """An address that the API does not have."""
    return problem(request, 404, "not found", "there is no such address", "see /api/v1/openapi.json")


def unreadable(request: HttpRequest, error: Any) -> HttpResponse:
    """A body that could not be read, as the framework wraps it."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, PosternError):
        return answer_for(request, cause)
    if isinstance(cause, RequestDataTooBig):
        return too_big(request)
    return problem(request, error.status_code, "bad request", "the request cannot be read")


def wrong_method(request: HttpRequest, refused: HttpResponse) -> HttpResponse:
    """A method that an address does not have."""
    allowed = refused.headers.get("Allow", "")
    answer = problem(request, 405, "method not allowed", f"{request.method} is not possible here", f"try {allowed}")
    answer.headers["Allow"] = allowed
    return answer


def too_big(request: HttpRequest, _: object = None) -> HttpResponse:
    """A body beyond the limit."""
    return problem(request, 413, "too big", "the body is larger than we take", "send it in parts")


def unexpected(request: HttpRequest, error: Any) -> HttpResponse:
    """A failure of ours: logged with its trace, told without."""
    log.error("request %s failed", getattr(request, "request_id", "?"), exc_info=error)
    return problem(request, 500, "error", "something went wrong here", "tell an administrator, with the request id")


def bad_fields(request: HttpRequest, error: Any) -> HttpResponse:
    """Fields that are wrong, each with its path; an unknown one with the nearest that is known."""
    found = [_problem_of(item) for item in error.errors[:50]]
    return answer_for(request, Invalid(str(found[0]) if len(found) == 1 else "the request is wrong", "", found))


def _problem_of(item: Mapping[str, Any]) -> Problem:
    where: Sequence[Any] = item.get("loc", ())
    parts = [str(part) for part in where[1:] if part not in ("body", "query_params")]
    path = ".".join(parts)
    if item.get("type") == "extra_forbidden" and parts:
        near = get_close_matches(parts[-1], _KNOWN_FIELDS, 1, 0.6)
        return Problem(f"unknown key {parts[-1][:60]!r}", path=path, hint=f"did you mean {near[0]!r}?" if near else "")
    return Problem(f"{path or 'the request'}: {_words(item)}", path=path)


def _words(item: Mapping[str, Any]) -> str:
    words = str(item.get("msg", "wrong")).removeprefix("Value error, ")
    return words[:1].lower() + words[1:]


_KNOWN_FIELDS: set[str] = set()


def know_fields(names: Sequence[str]) -> None:
    """Tell which keys bodies have, to suggest one for a mistyped key."""
    _KNOWN_FIELDS.update(names)


def register(api: NinjaAPI) -> None:
    """Give every failure its answer."""
    api.add_exception_handler(PosternError, answer_for)
    api.add_exception_handler(AuthenticationError, not_signed_in)
    api.add_exception_handler(ClockOff, clock_off)
    api.add_exception_handler(HttpError, unreadable)
    api.add_exception_handler(ValidationError, bad_fields)
    api.add_exception_handler(Http404, no_such_address)
    api.add_exception_handler(RequestDataTooBig, too_big)
    api.add_exception_handler(Exception, unexpected)
