"""Editing and deleting what is kept as a document: roles, apps and servers share these pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from accounts.requests import SignedInRequest
from broker.console import forms
from broker.console.changing import confirm_page, confirmed, done, ends
from broker.console.desk import desk
from broker.console.links import list_url, page_url
from broker.console.yaml_text import version_of, yaml_of
from broker.documents import Spec, parse_text
from broker.documents.secret import SECRET_FIELDS
from broker.errors import Conflict, Invalid, NotFound, Problem, Unavailable
from broker.services.documents import delete_document, read_document, save_document
from broker.services.enact import Outcome
from broker.services.kinds import kind_named


@dataclass(frozen=True, slots=True)
class Refused:
    """What was wrong with a document: each problem with the line it is about, quoted."""

    problems: tuple[tuple[Problem, str], ...]


def edit_document(request: SignedInRequest, kind: str, name: str) -> HttpResponse:
    """Edit a document as YAML; what is wrong is told by line and nothing typed is lost."""
    document = read_document(request.origin, desk(request).subject, kind, name)
    back = page_url(kind, name)
    title = f"Edit {kind} {name}"
    initial = {"text": yaml_of(document), "version": version_of(document)}
    return _editor(request, kind, name, initial, title, back, changed_from=version_of(document))


def new_document(request: SignedInRequest, kind: str, template: str) -> HttpResponse:
    """Write a new document as YAML, beginning with a template."""
    back = list_url(kind)
    return _editor(request, kind, "", {"text": template}, f"New {kind}", back)


def remove_document(
    request: SignedInRequest,
    kind: str,
    name: str,
    costs: Sequence[str],
    text: str = "The document stays in the audit log, from where it can be copied back.",
) -> HttpResponse:
    """Ask, naming what is cut; then remove."""
    subject = desk(request).subject
    if confirmed(request):
        outcome = delete_document(request.origin, subject, kind, name)
        messages.success(request, done(f"{kind} {name} was deleted", outcome.ends_sessions))
        return redirect(list_url(kind))
    outcome = delete_document(request.origin, subject, kind, name, dry_run=True)
    return confirm_page(
        request,
        title=f"Delete {kind} {name}?",
        text=text,
        label=f"Delete {name}",
        back=page_url(kind, name),
        costs=[ends(outcome.ends_sessions), *costs],
        arm=3 if outcome.ends_sessions else 0,
    )


def _editor(
    request: SignedInRequest,
    kind: str,
    name: str,
    initial: Mapping[str, Any],
    title: str,
    back: str,
    changed_from: str = "",
) -> HttpResponse:
    form = forms.DocumentForm(request.POST or None, initial=initial)
    refused: Refused | None = None
    preview: Outcome | None = None
    if request.method == "POST" and form.is_valid():
        text = form.cleaned_data["text"].replace("\r\n", "\n")
        try:
            if changed_from and form.cleaned_data["version"] != changed_from:
                raise Conflict(
                    f"somebody else changed this {kind} meanwhile", "compare yours with how it is now, below"
                )
            spec = _one_of(kind, name, text)
            outcome = save_document(
                request.origin, desk(request).subject, spec, dry_run=request.POST.get("do") == "check"
            )
        except (Invalid, Conflict, NotFound, Unavailable) as error:
            refused = _refused(error, text)
        else:
            if outcome.applied:
                messages.success(request, _said(kind, spec.name, outcome))
                return redirect(page_url(kind, spec.name))
            preview = outcome
    context = {
        "form": form,
        "kind": kind,
        "name": name,
        "title": title,
        "back": back,
        "refused": refused,
        "preview": preview,
        "now": initial["text"] if refused and name else "",
    }
    return render(request, "console/documents/edit.html", context, status=422 if refused else 200)


def _one_of(kind: str, name: str, text: str) -> Spec:
    """The one document of that kind in the text. Raises Invalid."""
    specs = parse_text(text, "")
    if len(specs) != 1:
        found = "none" if not specs else str(len(specs))
        raise Invalid(f"there must be one document here, and there are {found}", "several at once: postern admin apply")
    spec = specs[0]
    if spec.kind != kind:
        raise Invalid(f"this is a {spec.kind}, not a {kind}")
    if name and spec.name != name:
        raise Invalid(f"a {kind} cannot be renamed", f"keep metadata.name: {name}, or make a new {kind}")
    if not name and _exists(kind, spec.name):
        raise Conflict(f"there is a {kind} {spec.name} already", "choose another name, or edit that one")
    return spec


def _exists(kind: str, name: str) -> bool:
    return bool(kind_named(kind).documents([name]))


def _refused(error: Invalid | Conflict | NotFound | Unavailable, text: str) -> Refused:
    problems: Sequence[Problem] = error.problems if isinstance(error, Invalid) else ()
    lines = text.splitlines()
    return Refused(
        tuple(
            (problem, _quoted(lines[problem.line - 1]) if 0 < problem.line <= len(lines) else "")
            for problem in problems or [Problem(error.message, hint=error.hint)]
        )
    )


def _quoted(line: str) -> str:
    """A line of a document, without what may be a secret."""
    return "" if any(key in line for key in SECRET_FIELDS.values()) else line.strip()[:160]


def _said(kind: str, name: str, outcome: Outcome) -> str:
    if not outcome.changes:
        return f"{kind} {name} was so already"
    verb = "created" if outcome.changes[0].change == "create" else "changed"
    return done(f"{kind} {name} was {verb}", outcome.ends_sessions)
