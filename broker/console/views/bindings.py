"""Giving roles to users and groups, and taking them away."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Literal, cast

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from accounts.requests import SignedInRequest
from broker.console import forms
from broker.console.changing import attempt, confirm_page, confirmed, done, ends
from broker.console.desk import desk
from broker.console.entry import WRITE, console_page
from broker.console.links import group_url, user_url
from broker.console.queries import groups, roles, users
from broker.documents import BindingSpec, parse_mapping
from broker.services.documents import delete_document, save_document


@console_page("binding.create", WRITE)
def user_role_new(request: SignedInRequest, name: str) -> HttpResponse:
    """Give a role to a user."""
    user = users.user_named(name)
    kind: Literal["user", "machine"] = "machine" if user.kind == "machine" else "user"
    return _give(request, kind, user.username, user_url(user.username))


@console_page("binding.create", WRITE)
def group_role_new(request: SignedInRequest, name: str) -> HttpResponse:
    """Give a role to everybody in a group."""
    group = groups.group_named(name)
    return _give(request, "group", group.name, group_url(group.name))


@console_page("binding.delete", WRITE)
def binding_delete(request: SignedInRequest, name: str) -> HttpResponse:
    """Take a role away, in the binding `ROLE:user:NAME` or `ROLE:group:NAME`."""
    binding = roles.binding_named(name)
    subject = desk(request).subject
    holder = binding.user.username if binding.user else str(binding.group)
    back = user_url(holder) if binding.user else group_url(holder)
    if confirmed(request):
        outcome = delete_document(request.origin, subject, "role_binding", binding.name)
        messages.success(request, done(f"{holder} no longer has {binding.role.name}", outcome.ends_sessions))
        return redirect(back)
    outcome = delete_document(request.origin, subject, "role_binding", binding.name, dry_run=True)
    whose = holder if binding.user else f"everybody in {holder}"
    return confirm_page(
        request,
        title=f"Take {binding.role.name} from {holder}?",
        text="You can give it again at any time.",
        label=f"Take {binding.role.name} away",
        back=back,
        costs=[f"{ends(outcome.ends_sessions)}, at once", f"takes away what {binding.role.name} allows {whose}"],
    )


def _give(request: SignedInRequest, kind: Literal["user", "group", "machine"], holder: str, back: str) -> HttpResponse:
    form = forms.BindingForm(request.POST or None, initial=request.GET.dict(), roles=roles.names())
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        if attempt(form, lambda: _save(request, kind, holder, said), forms.BINDING_FIELDS):
            messages.success(request, f"{holder} has {said['role']} now")
            return redirect(back)
    context = {"form": form, "holder": holder, "is_group": kind == "group", "back": back}
    return render(request, "console/bindings/form.html", context)


def _save(
    request: SignedInRequest, kind: Literal["user", "group", "machine"], holder: str, said: dict[str, object]
) -> None:
    until = said["until"]
    expires = until.astimezone(UTC).isoformat(timespec="seconds") if until else ""  # type: ignore[attr-defined]
    spec = {"role": said["role"], kind: "x", "expires": expires, "reason": said["reason"]}
    document = {"kind": "role_binding", "metadata": {}, "spec": {key: value for key, value in spec.items() if value}}
    # the holder's name may be one that a directory gave, which no document could hold: it is set after the check
    checked = cast(BindingSpec, parse_mapping("role_binding", document))
    named = replace(checked, subject=holder, name=f"{checked.role}:{kind}:{holder}")
    save_document(request.origin, desk(request).subject, named)
