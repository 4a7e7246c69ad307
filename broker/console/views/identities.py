"""Who a user is elsewhere: what connectors said of them, and taking such an account off them."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.requests import SignedInRequest
from accounts.services.unlinking import has_other_way
from broker.console.changing import confirm_page, confirmed, counted, done, ends
from broker.console.desk import desk
from broker.console.entry import WRITE, console_page
from broker.console.links import user_url
from broker.console.queries import identities, users
from broker.services.user_identities import unlink_identity


@console_page("user.read")
def user_identities(request: SignedInRequest, name: str) -> HttpResponse:
    """What each connector last said of a user, and what its mapping made and would make of it."""
    user, at = users.user_named(name), desk(request)
    context = {
        "user": user,
        "inspected": [identities.inspected(one) for one in identities.identities_of(user)],
        "may_update": at.may("user.update", user.username),
        "may_see_connectors": at.may("connector.read"),
    }
    return render(request, "console/users/identities.html", context)


@console_page("user.update", WRITE)
def identity_unlink(request: SignedInRequest, name: str, identity: UUID) -> HttpResponse:
    """Take an account elsewhere off a user; ask first, naming what it costs."""
    user, subject = users.user_named(name), desk(request).subject
    found = identities.identity_of(user, identity)
    source = found.connector.source
    if confirmed(request):
        ended = unlink_identity(request.origin, subject, user.username, found.pk)
        messages.success(request, done(f"{user.username} is no longer known by {source}", ended))
        return redirect(user_url(user.username))
    cost = unlink_identity(request.origin, subject, user.username, found.pk, dry_run=True)
    given = user.memberships.filter(source=source).count()
    costs = [ends(cost), f"takes {counted(given, 'group membership')} that it gave"]
    if not has_other_way(user, found):
        costs.append(f"{user.username} has no other way in")
    return confirm_page(
        request,
        title=f"Take {source} off {user.username}?",
        label="Take it off",
        back=reverse("console:user-identities", kwargs={"name": user.username}),
        costs=costs,
        text="If the connector makes accounts, whoever comes by it again is somebody new, or refused.",
    )
