"""From forms to changes: services' refusals become errors of the fields they are about, and costs become sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from broker.errors import Conflict, Invalid, NotFound, Problem, Unavailable


def counted(number: int, one: str, many: str = "") -> str:
    """`1 session`, `3 sessions`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def ends(number: int) -> str:
    """What ending that many sessions is called on a page that asks before it."""
    return f"ends {counted(number, 'open session')}" if number else "ends no open session"


def done(text: str, ended: int) -> str:
    """What was done, and what it cut."""
    return f"{text}; {counted(ended, 'session')} ended" if ended else text


def attempt(form: forms.Form, change: Callable[[], Any], fields: Mapping[str, str]) -> bool:
    """Make the change; False when it was refused as wrong, and the form says where. `fields`: by path."""
    try:
        change()
    except Invalid as error:
        for problem in error.problems or [Problem(error.message, hint=error.hint)]:
            form.add_error(_field_of(problem.path, fields, form), _words(problem))
    except (Conflict, NotFound, Unavailable) as error:
        form.add_error(None, f"{error.message}{': ' if error.hint else ''}{error.hint}")
    else:
        return True
    return False


def confirm_page(
    request: HttpRequest, *, title: str, label: str, back: str, costs: list[str], text: str = "", **more: Any
) -> HttpResponse:
    """The page that names what will be cut, and asks."""
    context = {"title": title, "confirm_label": label, "cancel_url": back, "costs": costs, "text": text, **more}
    return render(request, "console/confirm.html", context)


def confirmed(request: HttpRequest) -> bool:
    """Whether the answer to such a page came."""
    return request.method == "POST" and request.POST.get("confirm") == "yes"


def _field_of(path: str, fields: Mapping[str, str], form: forms.Form) -> str | None:
    for prefix, field in fields.items():
        if path.startswith(prefix) and field in form.fields:
            return field
    return None


def _words(problem: Problem) -> str:
    return f"{problem.message}{f' ({problem.hint})' if problem.hint else ''}"
