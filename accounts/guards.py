"""What a view asks for before it is entered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, cast
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone

from accounts.destinations import sign_in_url
from accounts.requests import Request, SignedInRequest

View = TypeVar("View", bound=Callable[..., HttpResponseBase])

FRESH = timedelta(minutes=5)
"""How long a second factor counts as just given."""


def signed_in(view: View) -> View:
    """Only with a login session. People are led to sign-in and back; scripts get a 401."""

    @functools.wraps(view)
    def guarded(request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.login_session is not None:
            return view(request, *args, **kwargs)
        return _to_sign_in(request)

    return cast(View, guarded)


def freshly_confirmed(view: View) -> View:
    """Only within minutes of giving the second factor; else it is asked for first, and the form begins anew."""

    @signed_in
    @functools.wraps(view)
    def guarded(request: SignedInRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_fresh(request):
            return view(request, *args, **kwargs)
        back = request.get_full_path() if request.method in ("GET", "HEAD") else request.path
        return _lead(request, f"/account/confirm?next={quote(back, safe='/')}", 403)

    return cast(View, guarded)


def to_confirmation(request: HttpRequest) -> HttpResponse:
    """To where the second factor is given again, and back; a form is not sent again, a script gets a 403."""
    page = request.method in ("GET", "HEAD")
    if not request.headers.get("HX-Request") and request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        detail = "this session moved to another network: give your second factor again"
        problem = {"type": "about:blank", "title": "confirm", "status": 403, "detail": detail}
        return JsonResponse(problem, status=403, content_type="application/problem+json")
    back = request.get_full_path() if page else "/"
    return _lead(request, f"/account/confirm?next={quote(back, safe='/')}", 403)


def is_fresh(request: SignedInRequest) -> bool:
    """Whether the second factor was given just now."""
    mfa_at = request.login_session.mfa_at
    return mfa_at is not None and timezone.now() - mfa_at < FRESH


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    if request.headers.get("HX-Request"):
        response = HttpResponse(status=401)
        response.headers["HX-Redirect"] = "/sign-in"
        return response
    if request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        problem = {"type": "about:blank", "title": "sign in", "status": 401, "detail": "you are not signed in"}
        return JsonResponse(problem, status=401, content_type="application/problem+json")
    return redirect(sign_in_url(request))


def _lead(request: HttpRequest, url: str, status: int) -> HttpResponse:
    if request.headers.get("HX-Request"):
        response = HttpResponse(status=status)
        response.headers["HX-Redirect"] = url
        return response
    return redirect(url)
