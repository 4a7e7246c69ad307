"""How roles are kept: rows with a checked document. The verbs people use are in `documents` and `apply`.

What is here decides nothing and runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from broker.audit.event import RoleCreated, RoleDeleted, RoleUpdated
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents import RoleSpec, to_document
from broker.errors import Conflict, NotFound
from broker.models import Binding, Role
from broker.services.bindings import remove_bindings

BUILTIN_HINT = "make a role of your own beside it"


def role_documents(names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """The documents of these roles (None: of all), by name."""
    rows = Role.objects.all() if names is None else Role.objects.filter(name__in=names)
    return dict(rows.values_list("name", "document"))


def builtin_roles() -> frozenset[str]:
    """The names of the roles that belong to Postern itself."""
    return frozenset(Role.objects.filter(builtin=True).values_list("name", flat=True))


def write_role(origin: Origin, spec: RoleSpec) -> None:
    """Make the role or bring it to what the document says. Raises Conflict for a built-in one."""
    document = to_document(spec)
    row = Role.objects.select_for_update().filter(name=spec.name).first()
    if row is None:
        row = Role.objects.create(name=spec.name, document=document)
        record(origin, RoleCreated(id=str(row.pk), label=row.name, document=document))
    elif row.document != document:
        _refuse_builtin(row)
        before, row.document = row.document, document
        row.save(update_fields=["document", "updated_at"])
        record(origin, RoleUpdated(id=str(row.pk), label=row.name, before=before, after=document))


def remove_role(origin: Origin, name: str) -> None:
    """Remove the role and every binding of it. Raises NotFound, and Conflict for a built-in one."""
    row = Role.objects.select_for_update().filter(name=name).first()
    if row is None:
        raise NotFound(f"there is no role {name!r}")
    _refuse_builtin(row)
    remove_bindings(origin, Binding.objects.filter(role=row))
    ident = str(row.pk)
    row.delete()
    record(origin, RoleDeleted(id=ident, label=name, document=row.document))


def _refuse_builtin(row: Role) -> None:
    if row.builtin:
        raise Conflict(f"role {row.name!r} is built in: it can be neither changed nor removed", BUILTIN_HINT)
