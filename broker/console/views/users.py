"""Users: the list, and each user's page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from accounts import sessions
from accounts.models import Group, User
from accounts.requests import SignedInRequest
from accounts.services import factor_resets
from broker.console import forms, lists
from broker.console.changing import attempt
from broker.console.desk import desk
from broker.console.entry import WRITE, console_page
from broker.console.links import user_url
from broker.console.queries import access, events, users
from broker.console.queries.identities import identities_of
from broker.documents import UserSpec, parse_mapping
from broker.errors import Conflict
from broker.services.documents import read_document, save_document
from broker.services.users import invite_user


@console_page("user.list")
def user_list(request: SignedInRequest) -> HttpResponse:
    """All users, filtered, sorted, in pages."""
    query = lists.asked(request, "q", "state", "group")
    sort = lists.sorting(request, users.COLUMNS, "name")
    found = users.users(query["q"], query["state"], query["group"])
    page = lists.page_of(request, lists.order_by(found, users.COLUMNS, sort))
    for user in page:
        user.state = users.state_of(user)
    context = {
        "page": page,
        "query": query,
        "sort": sort,
        "states": users.STATES,
        "groups": [(name, name) for name in Group.objects.values_list("name", flat=True)[:200]],
        "may_create": desk(request).may("user.create"),
        "filtered": any(query.values()),
    }
    return render(request, "console/users/list.html", context)


@console_page("user.read")
def user_page(request: SignedInRequest, name: str) -> HttpResponse:
    """One user: who, what they hold, what they have open, what they did last."""
    user = users.user_named(name)
    at, waiting = desk(request), factor_resets.pending(user)
    context: dict[str, Any] = {
        "user": user,
        "state": users.state_of(user),
        "identities": identities_of(user),
        "is_me": user.pk == request.user.pk,
        "is_person": user.kind == User.Kind.PERSON,
        "may_update": at.may("user.update", user.username),
        "may_delete": at.may("user.delete", user.username),
        "may_bind": at.may("binding.create"),
        "may_unbind": at.may("binding.delete"),
        "may_lock": at.may("lock.create"),
        "may_end": at.may("session.delete"),
        "reset": waiting,
        "may_approve": waiting and str(request.user.pk) not in (waiting.asked_by_id, str(user.pk)),
        "held": users.roles_held(user) if at.may("binding.list") else None,
        "lock": access.standing_lock("user", user.username) if at.may("lock.list") else None,
    }
    if at.may("session.list"):
        context["logins"] = access.live_logins(user)
        context["uses"] = access.latest_of_user(user)
        context["ends_at"] = sessions.ends_at
    if at.may("event.list"):
        context["events"] = events.about_user(user)
    return render(request, "console/users/page.html", context)


@console_page("user.create", WRITE)
def user_new(request: SignedInRequest) -> HttpResponse:
    """A new user; for a person, the link that lets them in follows."""
    form = forms.UserForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]

        def create() -> None:
            if User.objects.by_name(name):
                raise Conflict(f"there is a user {name} already", "choose another name")
            spec = parse_mapping("user", form.as_document(name))
            save_document(request.origin, desk(request).subject, spec)

        if attempt(form, create, forms.USER_FIELDS):
            if not desk(request).may("user.update", name):
                messages.success(request, f"{name} was created; somebody who may change users can invite them")
                return redirect(user_url(name))
            link = invite_user(request.origin, desk(request).subject, name)
            return render(request, "console/users/link.html", {"name": name, "link": link, "why": "created"})
    return render(request, "console/users/form.html", {"form": form})


@console_page("user.update", WRITE)
def user_edit(request: SignedInRequest, name: str) -> HttpResponse:
    """Change who a user is and which groups they are in."""
    user = users.user_named(name)
    document = read_document(request.origin, desk(request).subject, "user", user.username).get("spec", {})
    form = forms.UserForm(request.POST or None, initial=document)
    del form.fields["name"]
    if request.method == "POST" and form.is_valid():

        def change() -> None:
            # a name that a directory gave may be none that a document could: it is set after the check
            spec = replace(cast(UserSpec, parse_mapping("user", form.as_document("x"))), name=user.username)
            save_document(request.origin, desk(request).subject, spec)

        if attempt(form, change, forms.USER_FIELDS):
            messages.success(request, f"{user.username} was changed")
            return redirect(user_url(user.username))
    return render(request, "console/users/form.html", {"form": form, "user": user})
