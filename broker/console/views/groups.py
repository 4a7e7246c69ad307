"""Groups: the list, each group's page, and who is in it."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.models import Group, User
from accounts.names import name_key
from accounts.requests import SignedInRequest
from broker.console import forms, lists
from broker.console.changing import attempt, confirm_page, confirmed, counted, done, ends
from broker.console.desk import desk
from broker.console.entry import WRITE, console_page
from broker.console.links import group_url
from broker.console.queries import events, groups
from broker.documents import GroupSpec, UserSpec, parse_mapping
from broker.errors import Conflict, NotFound
from broker.services.documents import delete_document, read_document, save_document
from broker.services.enact import Outcome


@console_page("group.list")
def group_list(request: SignedInRequest) -> HttpResponse:
    """All groups."""
    query = lists.asked(request, "q")
    sort = lists.sorting(request, groups.COLUMNS, "name")
    page = lists.page_of(request, lists.order_by(groups.groups(query["q"]), groups.COLUMNS, sort))
    context = {"page": page, "query": query, "sort": sort, "may_create": desk(request).may("group.create")}
    return render(request, "console/groups/list.html", context)


@console_page("group.read")
def group_page(request: SignedInRequest, name: str) -> HttpResponse:
    """One group: who is in it, and what is bound to it."""
    group, at = groups.group_named(name), desk(request)
    may_change_members = at.may("user.update")
    context = {
        "group": group,
        "page": lists.page_of(request, groups.members(group)),
        "bindings": groups.bindings(group) if at.may("binding.list") else None,
        "events": events.about_resource(group.pk) if at.may("event.list") else None,
        "form": forms.MemberForm() if may_change_members else None,
        "others": groups.others(group) if may_change_members else [],
        "may_update": at.may("group.update", group.name),
        "may_delete": at.may("group.delete", group.name),
        "may_bind": at.may("binding.create"),
        "may_unbind": at.may("binding.delete"),
        "may_see_users": at.may("user.read"),
    }
    return render(request, "console/groups/page.html", context)


@console_page("group.create", WRITE)
def group_new(request: SignedInRequest) -> HttpResponse:
    """A new group."""
    form = forms.GroupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]

        def create() -> None:
            if Group.objects.filter(name_key=name_key(name)).exists():
                raise Conflict(f"there is a group {name} already", "choose another name")
            save_document(request.origin, desk(request).subject, _spec(name, form))

        if attempt(form, create, forms.GROUP_FIELDS):
            messages.success(request, f"{name} was created; add its members and give it roles")
            return redirect(group_url(name))
    return render(request, "console/groups/form.html", {"form": form})


@console_page("group.update", WRITE)
def group_edit(request: SignedInRequest, name: str) -> HttpResponse:
    """Describe a group anew."""
    group = groups.group_named(name)
    form = forms.GroupForm(request.POST or None, initial={"description": group.description})
    del form.fields["name"]
    if request.method == "POST" and form.is_valid():

        def change() -> None:
            spec = GroupSpec(group.name, _spec("x", form).description)
            save_document(request.origin, desk(request).subject, spec)

        if attempt(form, change, forms.GROUP_FIELDS):
            messages.success(request, f"{group.name} was changed")
            return redirect(group_url(group.name))
    return render(request, "console/groups/form.html", {"form": form, "group": group})


@console_page("group.delete", WRITE)
def group_delete(request: SignedInRequest, name: str) -> HttpResponse:
    """Remove a group, and with it what it gave to its members."""
    group, subject = groups.group_named(name), desk(request).subject
    if confirmed(request):
        outcome = delete_document(request.origin, subject, "group", group.name)
        messages.success(request, done(f"{group.name} was deleted", outcome.ends_sessions))
        return redirect(reverse("console:groups"))
    outcome = delete_document(request.origin, subject, "group", group.name, dry_run=True)
    people, held = groups.members(group).count(), len(groups.bindings(group))
    return confirm_page(
        request,
        title=f"Delete {group.name}?",
        text="The users stay. This cannot be undone.",
        label=f"Delete {group.name}",
        back=group_url(group.name),
        costs=[
            ends(outcome.ends_sessions),
            f"takes {counted(people, 'member')} out of it",
            f"takes away {counted(held, 'role')} that came through it",
        ],
    )


@console_page("user.update", ("POST",))
def member_add(request: SignedInRequest, group: str) -> HttpResponse:
    """Put a user into a group."""
    found = groups.group_named(group)
    form = forms.MemberForm(request.POST)
    if form.is_valid():
        try:
            user = _user(form.cleaned_data["user"])
            _move(request, user, found, into=True)
        except NotFound as error:
            messages.error(request, f"{error.message}: {error.hint}")
        else:
            messages.success(request, f"{user.username} is in {found.name} now")
    return redirect(group_url(found.name))


@console_page("user.update", WRITE)
def member_remove(request: SignedInRequest, group: str, name: str) -> HttpResponse:
    """Take a user out of a group."""
    found, user = groups.group_named(group), _user(name)
    if confirmed(request):
        outcome = _move(request, user, found, into=False)
        messages.success(request, done(f"{user.username} is no longer in {found.name}", outcome.ends_sessions))
        return redirect(group_url(found.name))
    outcome = _move(request, user, found, into=False, dry_run=True)
    roles = [binding.role.name for binding in groups.bindings(found)]
    return confirm_page(
        request,
        title=f"Take {user.username} out of {found.name}?",
        text="You can put them in again at any time.",
        label=f"Take {user.username} out",
        back=group_url(found.name),
        costs=[
            f"{ends(outcome.ends_sessions)}, at once",
            f"takes away {', '.join(roles)}, unless they have it otherwise" if roles else "takes no role away",
        ],
    )


def _spec(name: str, form: forms.GroupForm) -> GroupSpec:
    about = {"name": name, "description": form.cleaned_data["description"]}
    document = {"kind": "group", "metadata": {key: text for key, text in about.items() if text}}
    return cast(GroupSpec, parse_mapping("group", document))


def _user(name: str) -> User:
    user = User.objects.by_name(name)
    if user is None:
        raise NotFound(f"there is no user {name[:64]!r}", "look for them in the list of users")
    return user


def _move(request: SignedInRequest, user: User, group: Group, *, into: bool, dry_run: bool = False) -> Outcome:
    """Write the user with or without this group; what a directory says of them stays."""
    subject = desk(request).subject
    about = read_document(request.origin, subject, "user", user.username).get("spec", {})
    others = [name for name in about.get("groups", []) if name_key(name) != group.name_key]
    spec = UserSpec(
        user.username,
        about.get("full_name", ""),
        about.get("email", ""),
        (*others, group.name) if into else tuple(others),
        {name: tuple(values) for name, values in about.get("traits", {}).items()},
    )
    return save_document(request.origin, subject, spec, dry_run=dry_run)
