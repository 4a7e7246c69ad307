"""What the views share: showing a form again with what was wrong, and the door that a guess came through."""

from __future__ import annotations

import math
from collections.abc import Mapping

from django import forms
from django.http import HttpResponse
from django.shortcuts import render

from accounts import cookies
from accounts.devices import known_device
from accounts.models import User
from accounts.requests import Request
from accounts.throttle import Door
from broker.errors import Invalid, PosternError, Throttled


def door_of(request: Request, name: str) -> Door:
    """The counters that a guess at the account `name` from this browser pays into."""
    cookie = cookies.read(request, cookies.DEVICE)
    user = User.objects.by_name(name) if cookie else None
    device = known_device(cookie, user.pk if user else None)
    return Door(name=name, address=request.address, device=device)


def again(
    request: Request,
    template: str,
    form: forms.Form,
    error: PosternError | None = None,
    field: str | None = None,
    context: Mapping[str, object] | None = None,
) -> HttpResponse:
    """The form once more with what was wrong: 422, or 429 with Retry-After when there were too many tries."""
    if error is not None:
        _tell(form, error, field)
    status = 429 if isinstance(error, Throttled) else 422
    response = render(request, template, {"form": form, **(context or {})}, status=status)
    if isinstance(error, Throttled):
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return response


def _tell(form: forms.Form, error: PosternError, field: str | None) -> None:
    if isinstance(error, Throttled):
        form.add_error(None, f"{error.message}; try again in {_in_words(error.retry_after)}")
    elif isinstance(error, Invalid) and error.problems:
        for problem in error.problems:
            form.add_error(field, problem.message)
    else:
        form.add_error(field, f"{error.message}; {error.hint}" if error.hint else error.message)


def _in_words(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    if minutes > 90:
        return f"{math.ceil(minutes / 60)} hours"
    return "a minute" if minutes <= 1 else f"{minutes} minutes"
