"""Users and groups over HTTP: read what the client sent, call one service, answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse

from broker.scim import answers
from broker.scim.bodies import group_in, operations_in, user_in
from broker.scim.door import ScimRequest, body_of, page_of, selection_of, versions_of
from broker.scim.filters import group_terms, user_terms
from broker.scim.patch import patched_group, patched_user, says_inactive
from broker.scim.words import USER, USER_ATTRIBUTES, pick
from broker.services import scim_groups, scim_users
from broker.services.scim_users import ProvisionedUser, Stale, UserRecord

log = logging.getLogger(__name__)
ALL_THE_SAME = "the user is out all the same"


def list_users(request: ScimRequest) -> HttpResponse:
    """The client's users, a page at a time."""
    terms, shown = user_terms(request.GET.get("filter", "")), selection_of(request.GET)
    start, count = page_of(request.GET)
    rows, total = scim_users.list_users(request.client, terms, start, count, groups=shown.has("groups"))
    return answers.listed([shown.of(answers.user(row)) for row in rows], total, start)


def create_user(request: ScimRequest) -> HttpResponse:
    """A new user."""
    row = scim_users.create_user(request.client, user_in(body_of(request)))
    return answers.answer(answers.user(row), 201)


def read_user(request: ScimRequest, ident: str) -> HttpResponse:
    """One user."""
    return _shown(request, answers.user(scim_users.get_user(request.client, ident)))


def replace_user(request: ScimRequest, ident: str) -> HttpResponse:
    """A user as a whole. What is not said is forgotten, but whether they are active."""
    body = body_of(request)
    out = str(pick(body, USER_ATTRIBUTES, USER).get("active")).lower() == "false"
    return _change_user(request, ident, lambda _: user_in(body), out=out)


def patch_user(request: ScimRequest, ident: str) -> HttpResponse:
    """Parts of a user."""
    operations = operations_in(body_of(request))

    def change(now: ProvisionedUser) -> UserRecord:
        return user_in(patched_user(now.said, operations))

    return _change_user(request, ident, change, out=says_inactive(operations))


def _change_user(
    request: ScimRequest, ident: str, change: Callable[[ProvisionedUser], UserRecord], *, out: bool
) -> HttpResponse:
    """Who shall be out is out at once, even if the rest of what the client wants cannot be done."""
    versions = versions_of(request.headers.get("If-Match"))
    try:
        row = scim_users.change_user(request.client, ident, change, versions)
    except Exception as raised:
        if not out or isinstance(raised, Stale):
            raise
        scim_users.deactivate(request.client, ident)
        return answers.error_for(raised, request.request_id, ALL_THE_SAME)
    return answers.answer(selection_of(request.GET).of(answers.user(row)))


def delete_user(request: ScimRequest, ident: str) -> HttpResponse:
    """A user and all they have open."""
    scim_users.delete_user(request.client, ident, versions_of(request.headers.get("If-Match")))
    return answers.nothing()


def list_groups(request: ScimRequest) -> HttpResponse:
    """The client's groups, a page at a time."""
    terms, shown = group_terms(request.GET.get("filter", "")), selection_of(request.GET)
    start, count = page_of(request.GET)
    rows, total = scim_groups.list_groups(request.client, terms, start, count, members=shown.has("members"))
    return answers.listed([shown.of(answers.group(row)) for row in rows], total, start)


def create_group(request: ScimRequest) -> HttpResponse:
    """A group that the client keeps."""
    row = scim_groups.create_kept_group(request.client, group_in(body_of(request)))
    return answers.answer(answers.group(row), 201)


def read_group(request: ScimRequest, ident: str) -> HttpResponse:
    """One group."""
    members = selection_of(request.GET).has("members")
    return _shown(request, answers.group(scim_groups.get_group(request.client, ident, members=members)))


def replace_group(request: ScimRequest, ident: str) -> HttpResponse:
    """A group as a whole: who is not among the members is out of it."""
    said = group_in(body_of(request))
    scim_groups.change_group(request.client, ident, lambda _: said, versions_of(request.headers.get("If-Match")))
    return read_group(request, ident)


def patch_group(request: ScimRequest, ident: str) -> HttpResponse:
    """Parts of a group. The answer is empty unless attributes are asked for: a group may have many members."""
    said = patched_group(operations_in(body_of(request)))
    versions = versions_of(request.headers.get("If-Match"))
    row = scim_groups.change_group(request.client, ident, lambda _: said, versions)
    if {"attributes", "excludedAttributes"}.isdisjoint(request.GET):
        return answers.nothing(row.version)
    return read_group(request, ident)


def delete_group(request: ScimRequest, ident: str) -> HttpResponse:
    """The client keeps the group no more."""
    scim_groups.delete_group(request.client, ident, versions_of(request.headers.get("If-Match")))
    return answers.nothing()


def _shown(request: ScimRequest, whole: dict[str, Any]) -> HttpResponse:
    """One thing, or 304 if the client has it already."""
    had = versions_of(request.headers.get("If-None-Match")) or []
    if "*" in had or whole["meta"]["version"] in map(answers.etag, had):
        response = HttpResponse(status=304)
        response.headers["ETag"] = whole["meta"]["version"]
        return response
    response = answers.answer(selection_of(request.GET).of(whole))
    response.headers["ETag"] = whole["meta"]["version"]
    return response
