"""How servers are kept: rows with a checked document.

What is here decides nothing and runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from broker.audit.event import ServerCreated, ServerDeleted, ServerUpdated
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents import ServerSpec, to_document
from broker.errors import NotFound
from broker.models import Server
from broker.services.access_sessions import ended_events


def server_documents(names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """The documents of these servers (None: of all), by name."""
    rows = Server.objects.all() if names is None else Server.objects.filter(name__in=names)
    return dict(rows.values_list("name", "document"))


def write_server(origin: Origin, spec: ServerSpec) -> None:
    """Make the server or bring it to what the document says."""
    document = to_document(spec)
    row = Server.objects.select_for_update().filter(name=spec.name).first()
    if row is None:
        row = Server.objects.create(name=spec.name, document=document)
        record(origin, ServerCreated(id=str(row.pk), label=row.name, document=document))
    elif row.document != document:
        before, row.document = row.document, document
        row.save(update_fields=["document", "updated_at"])
        record(origin, ServerUpdated(id=str(row.pk), label=row.name, before=before, after=document))


def remove_server(origin: Origin, name: str) -> None:
    """Remove the server and end what is open of it. Raises NotFound."""
    row = Server.objects.select_for_update().filter(name=name).first()
    if row is None:
        raise NotFound(f"there is no server {name!r}")
    ident = str(row.pk)
    ended = ended_events("server-deleted", resource_id=row.pk)
    row.delete()
    record(origin, *ended, ServerDeleted(id=ident, label=name, document=row.document))
