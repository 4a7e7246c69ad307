"""Roles, who holds them, and bindings."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from accounts.names import name_key
from broker.errors import NotFound
from broker.models import Binding, Role

COLUMNS = {"name": "name", "bound": "bound", "changed": "updated_at"}


def roles(text: str = "") -> QuerySet[Role]:
    """The roles that match by name or document, each with how often it is bound."""
    rows = Role.objects.annotate(bound=Count("bindings"))
    if text:
        rows = rows.filter(Q(name__icontains=text) | Q(document__metadata__description__icontains=text))
    return rows


def names() -> list[str]:
    """The names of all roles."""
    return list(Role.objects.values_list("name", flat=True))


def role_named(name: str) -> Role:
    """One role. Raises NotFound."""
    role = Role.objects.filter(name=name).first()
    if role is None:
        raise NotFound(f"there is no role {name[:64]!r}", "look for it in the list of roles")
    return role


def holders(role: Role) -> list[Binding]:
    """To whom a role is bound; those whose time is over are marked."""
    rows = Binding.objects.filter(role=role).select_related("role", "user", "group")
    found = sorted(rows, key=lambda row: row.name)
    now = timezone.now()
    for row in found:
        row.over = bool(row.expires_at and row.expires_at <= now)  # type: ignore[attr-defined]
    return found


def binding_named(name: str) -> Binding:
    """The binding `ROLE:user:NAME` or `ROLE:group:NAME`. Raises NotFound."""
    role, _, rest = name.partition(":")
    kind, _, holder = rest.partition(":")
    key = {"user": "user__username_key", "group": "group__name_key"}.get(kind)
    rows = Binding.objects.select_related("role", "user", "group")
    found = rows.filter(role__name=role, **{key: name_key(holder)}).first() if key else None
    if found is None:
        raise NotFound(f"there is no binding {name[:200]!r}", "it may be gone already")
    return found
