"""How groups are kept. What is here decides nothing and runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from accounts.models import Group, Membership
from accounts.names import name_key
from accounts.services.users import create_group
from broker.audit.event import Event, GroupDeleted, GroupMemberRemoved, GroupUpdated
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents import GroupSpec, to_document
from broker.errors import NotFound
from broker.models import Binding
from broker.services.bindings import remove_bindings


def group_documents(names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """The documents of these groups (None: of all), by name."""
    rows = Group.objects.all()
    if names is not None:
        rows = rows.filter(name_key__in=[name_key(name) for name in names])
    return {row.name: to_document(GroupSpec(row.name, row.description)) for row in rows}


def connected_groups() -> frozenset[str]:
    """The groups in which a directory or provider keeps somebody: files alone do not say who they are."""
    rows = Membership.objects.exclude(source="local").values_list("group__name", flat=True)
    return frozenset(rows.distinct())


def write_group(origin: Origin, spec: GroupSpec) -> None:
    """Make the group or bring it to what the document says."""
    row = Group.objects.select_for_update().filter(name_key=name_key(spec.name)).first()
    if row is None:
        create_group(origin, spec.name, spec.description)
    elif row.description != spec.description:
        row.description = spec.description
        row.save(update_fields=["description"])
        record(origin, GroupUpdated(id=str(row.pk), label=row.name, changed=("description",)))


def remove_group(origin: Origin, name: str) -> None:
    """Remove the group, its bindings and who was in it. Raises NotFound."""
    row = Group.objects.select_for_update().filter(name_key=name_key(name)).first()
    if row is None:
        raise NotFound(f"there is no group {name!r}")
    remove_bindings(origin, Binding.objects.filter(group=row))
    ident = str(row.pk)
    members = Membership.objects.filter(group=row).select_related("user")
    gone: list[Event] = [
        GroupMemberRemoved(
            id=ident, label=row.name, user_name=member.user.username, also_touches=(f"user:{member.user_id}",)
        )
        for member in members
    ]
    row.delete()
    record(origin, *gone, GroupDeleted(id=ident, label=row.name))
