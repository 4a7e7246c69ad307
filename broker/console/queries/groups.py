"""Groups as lists and pages show them."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet

from accounts.models import Group, Membership, User
from accounts.names import name_key
from broker.errors import NotFound
from broker.models import Binding

COLUMNS = {"name": "name_key", "members": "member_count"}


def groups(text: str = "") -> QuerySet[Group]:
    """The groups that match, each with how many members and roles it has."""
    rows = Group.objects.annotate(
        member_count=Count("memberships__user", distinct=True), role_count=Count("bindings", distinct=True)
    )
    return rows.filter(Q(name_key__contains=name_key(text)) | Q(description__icontains=text)) if text else rows


def group_named(name: str) -> Group:
    """One group. Raises NotFound."""
    group = Group.objects.filter(name_key=name_key(name)).first()
    if group is None:
        raise NotFound(f"there is no group {name[:64]!r}", "look for it in the list of groups")
    return group


def members(group: Group) -> QuerySet[Membership]:
    """Who is in a group, and what keeps them there."""
    return Membership.objects.filter(group=group).select_related("user").order_by("user__username_key", "source")


def bindings(group: Group) -> list[Binding]:
    """The roles bound to a group."""
    return list(Binding.objects.filter(group=group).select_related("role", "group").order_by("role__name"))


def others(group: Group) -> list[str]:
    """Some users who are not in a group, to choose from while typing."""
    rows = User.objects.filter(disabled_at=None).exclude(memberships__group=group)
    return list(rows.order_by("username_key").values_list("username", flat=True)[:300])
