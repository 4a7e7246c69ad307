"""The roles every installation has. They are the product's, so they follow it: each start brings them up to date."""

from __future__ import annotations

from django.db import transaction

from broker.audit.event import RoleCreated, RoleUpdated
from broker.audit.log import record
from broker.audit.origin import system
from broker.documents import BUILTIN_ROLES, to_document
from broker.errors import Conflict
from broker.models import Role

ADMINISTRATOR = "administrator"
AUDITOR = "auditor"


@transaction.atomic
def ensure_builtin_roles() -> None:
    """Make or bring up to date the built-in roles; does nothing when they are as they should be."""
    for spec in BUILTIN_ROLES:
        document = to_document(spec)
        row = Role.objects.select_for_update().filter(name=spec.name).first()
        if row is None:
            row = Role.objects.create(name=spec.name, document=document, builtin=True)
            record(system("setup"), RoleCreated(id=str(row.pk), label=row.name, document=document))
        elif not row.builtin:
            raise Conflict(f"role {spec.name!r} was made by hand, but that name is built in", "rename that role")
        elif row.document != document:
            before, row.document = row.document, document
            row.save()
            record(system("setup"), RoleUpdated(id=str(row.pk), label=row.name, before=before, after=document))
