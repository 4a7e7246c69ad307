"""How bindings are kept: a role given to one user (a machine user too) or one group, perhaps until a date.

What is here decides nothing and runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import Group, User
from accounts.names import name_key
from broker.audit.event import BindingCreated, BindingDeleted, BindingUpdated, Event
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents import BindingSpec, to_document
from broker.documents.spec import BindingSubject
from broker.errors import NotFound
from broker.models import Binding, Role

_RELATED = ("role", "user", "group")


def binding_name(spec: BindingSpec) -> str:
    """What a binding is known by: `ROLE:user:NAME` or `ROLE:group:NAME`, whatever name its document carries."""
    return f"{spec.role}:{'group' if spec.subject_kind == 'group' else 'user'}:{name_key(spec.subject)}"


def binding_documents(names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """The documents of these bindings (None: of all), by name."""
    rows = Binding.objects.select_related(*_RELATED)
    if names is not None:
        rows = rows.filter(_named(names))
    return {row.name: to_document(_spec_of(row)) for row in rows}


def write_binding(origin: Origin, spec: BindingSpec) -> None:
    """Make the binding, or bring its end and reason to what the document says. Raises NotFound for what it names."""
    user = group = None
    if spec.subject_kind == "group":
        group = Group.objects.filter(name_key=name_key(spec.subject)).first()
    else:
        user = User.objects.by_name(spec.subject)
    if user is None and group is None:
        raise NotFound(f"there is no {spec.subject_kind} {spec.subject!r}")
    bind_role(origin, spec.role, user=user, group=group, expires_at=spec.expires, reason=spec.reason)


@transaction.atomic
def bind_role(
    origin: Origin,
    role_name: str,
    user: User | None = None,
    group: Group | None = None,
    expires_at: datetime | None = None,
    reason: str = "",
) -> Binding:
    """Give a role to a user or to a group, or change until when they have it. Raises NotFound for an unknown role."""
    if (user is None) == (group is None):
        raise ValueError("a binding is for one user or one group")
    role = Role.objects.filter(name=role_name).first()
    if role is None:
        raise NotFound(f"there is no role {role_name!r}")
    row = Binding.objects.select_for_update().filter(role=role, user=user, group=group).first()
    if row is None:
        row = Binding.objects.create(role=role, user=user, group=group, expires_at=expires_at, reason=reason[:500])
        record(origin, BindingCreated(**_about(row)))
    elif (row.expires_at, row.reason) != (expires_at, reason):
        row.expires_at, row.reason = expires_at, reason[:500]
        row.save(update_fields=["expires_at", "reason"])
        record(origin, BindingUpdated(**_about(row)))
    return row


def remove_binding(origin: Origin, name: str) -> None:
    """Take a role away again. Raises NotFound."""
    if not remove_bindings(origin, Binding.objects.filter(_named([name]))):
        raise NotFound(f"there is no binding {name!r}", "a binding is named ROLE:user:NAME or ROLE:group:NAME")


def remove_bindings(origin: Origin, rows: QuerySet[Binding]) -> int:
    """Remove these bindings; answers how many."""
    found = list(rows.select_related(*_RELATED))
    events: list[Event] = [BindingDeleted(**_about(row)) for row in found]
    Binding.objects.filter(pk__in=[row.pk for row in found]).delete()
    if events:
        record(origin, *events)
    return len(found)


def _named(names: Collection[str]) -> Q:
    wanted = Q(pk__in=[])
    for name in names:
        role, _, rest = name.partition(":")
        kind, _, subject = rest.partition(":")
        if kind in ("user", "group"):
            key = "user__username_key" if kind == "user" else "group__name_key"
            wanted |= Q(**{"role__name": role, key: name_key(subject)})
    return wanted


def _spec_of(row: Binding) -> BindingSpec:
    kind: BindingSubject = "group"
    subject = row.group.name if row.group else ""
    if row.user:
        kind, subject = "machine" if row.user.kind == User.Kind.MACHINE else "user", row.user.username
    name = f"{row.role.name}:{kind}:{subject}"
    return BindingSpec(name, row.role.name, kind, subject, row.expires_at, row.reason)


def _about(row: Binding) -> dict[str, Any]:
    holder = f"user:{row.user_id}" if row.user_id else f"group:{row.group_id}"
    kind, _, name = row.name.partition(":")[2].partition(":")
    return {
        "id": str(row.pk),
        "label": row.name,
        "role": row.role.name,
        "bound_to": f"{kind}:{name}",
        "expires_at": row.expires_at.isoformat() if row.expires_at else "",
        "also_touches": (holder, f"role:{row.role_id}"),
    }
