"""Locks: what stands and what stood, placing one, lifting one."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.requests import SignedInRequest
from broker.console import forms, lists
from broker.console.changing import attempt, confirm_page, confirmed, done, ends
from broker.console.desk import desk
from broker.console.entry import WRITE, console_page
from broker.console.queries import access
from broker.services.locks import LockPlaced, create_lock, lift_lock, list_locks

FIELDS = {"target.kind": "kind", "target.name": "target", "ttl": "ttl", "reason": "reason"}


@console_page("lock.list")
def lock_list(request: SignedInRequest) -> HttpResponse:
    """The locks that stand, then those that are over."""
    at = desk(request)
    context = {
        "standing": list_locks(request.origin, at.subject),
        "page": lists.page_of(request, access.past_locks()),
        "may_create": at.may("lock.create"),
        "may_lift": at.may("lock.delete"),
    }
    return render(request, "console/locks/list.html", context)


@console_page("lock.create", WRITE)
def lock_new(request: SignedInRequest) -> HttpResponse:
    """Say what to lock; see what that cuts; lock it."""
    form = forms.LockForm(request.POST or None, initial=request.GET.dict())
    if request.method == "POST" and form.is_valid():
        sure = request.POST.get("confirm") == "yes"
        placed: list[LockPlaced] = []
        if attempt(form, lambda: placed.append(_place(request, form, dry_run=not sure)), FIELDS):
            target = f"{form.cleaned_data['kind'].replace('_', ' ')} {placed[0].lock.target_name}"
            if sure:
                messages.success(request, done(f"{target} is locked", placed[0].ends_sessions))
                return redirect(reverse("console:locks"))
            return _ask(request, form, target, placed[0])
    return render(request, "console/locks/form.html", {"form": form})


@console_page("lock.delete", WRITE)
def lock_lift(request: SignedInRequest, ident: UUID) -> HttpResponse:
    """Take a lock away."""
    lock = access.lock(ident)
    target = f"{lock.target_kind.replace('_', ' ')} {lock.target_name}"
    if confirmed(request):
        lift_lock(request.origin, desk(request).subject, ident)
        messages.success(request, f"the lock on {target} is lifted")
        return redirect(reverse("console:locks"))
    return confirm_page(
        request,
        title=f"Lift the lock on {target}?",
        text=f"It was placed by {lock.created_by or 'Postern'} because: {lock.reason}",
        label="Lift the lock",
        back=reverse("console:locks"),
        costs=["what roles allow is allowed again, at once"],
    )


def _place(request: SignedInRequest, form: forms.LockForm, *, dry_run: bool) -> LockPlaced:
    said = form.cleaned_data
    return create_lock(
        request.origin,
        desk(request).subject,
        said["kind"],
        said["target"].strip(),
        ttl=form.seconds(),
        reason=said["reason"].strip(),
        dry_run=dry_run,
    )


def _ask(request: SignedInRequest, form: forms.LockForm, target: str, would: LockPlaced) -> HttpResponse:
    how_long = dict(forms.LOCK_TIMES)[form.cleaned_data["ttl"]]
    until = f"for {how_long}" if form.cleaned_data["ttl"] else how_long
    return confirm_page(
        request,
        title=f"Lock {target} {until}?",
        text=f"Reason: {form.cleaned_data['reason']}",
        label=f"Lock {would.lock.target_name}",
        back=f"{reverse('console:locks')}/new?{_query(form)}",
        costs=[f"{ends(would.ends_sessions)}, at once and everywhere", "beats every role while it stands"],
        form=form.hidden(),
    )


def _query(form: forms.LockForm) -> str:
    return urlencode({name: form.cleaned_data[name] for name in form.fields})
