"""How apps are kept: rows with a checked document, each at a host name of its own.

What is here decides nothing and runs in the caller's transaction.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection
from typing import Any

from django.conf import settings

from broker.audit.event import AppCreated, AppDeleted, AppUpdated
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents import AppSpec, to_document
from broker.errors import Conflict, NotFound
from broker.keystore import ring
from broker.models import App
from broker.services.access_sessions import ended_events


def app_documents(names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """The documents of these apps (None: of all), by name."""
    rows = App.objects.all() if names is None else App.objects.filter(name__in=names)
    return dict(rows.values_list("name", "document"))


def host_of(spec: AppSpec) -> str:
    """The host name an app is reached at."""
    return spec.public_addr.lower() or f"{spec.name}.{settings.POSTERN.app_suffix}"


def write_app(origin: Origin, spec: AppSpec) -> None:
    """Make the app or bring it to what the document says. Raises Conflict when its host name is taken."""
    document, host = to_document(spec), host_of(spec)
    _refuse_taken(spec.name, host)
    row = App.objects.select_for_update().filter(name=spec.name).first()
    if row is None:
        row = App.objects.create(name=spec.name, host=host, document=document)
        record(origin, AppCreated(id=str(row.pk), label=row.name, document=_for_log(document)))
    elif (row.document, row.host) != (document, host):
        before, row.document, row.host = row.document, document, host
        row.save(update_fields=["document", "host", "updated_at"])
        event = AppUpdated(id=str(row.pk), label=row.name, before=_for_log(before), after=_for_log(document))
        record(origin, event)


def remove_app(origin: Origin, name: str) -> None:
    """Remove the app and end what is open of it. Raises NotFound."""
    row = App.objects.select_for_update().filter(name=name).first()
    if row is None:
        raise NotFound(f"there is no app {name!r}")
    ident = str(row.pk)
    ended = ended_events("app-deleted", resource_id=row.pk)
    row.delete()
    record(origin, *ended, AppDeleted(id=ident, label=name, document=_for_log(row.document)))


def _for_log(document: dict[str, Any]) -> dict[str, Any]:
    """The document without the values of the headers it sets: they may be credentials of the app's own.

    A keyed digest stands for each, so that a change of one is seen.
    """
    set_headers = document.get("spec", {}).get("headers", {}).get("set")
    if not set_headers:
        return document
    key = ring().derive("app-header-values")
    hidden = {name: f"hidden {_digest(key, value)}" for name, value in set_headers.items()}
    spec = document["spec"]
    return {**document, "spec": {**spec, "headers": {**spec["headers"], "set": hidden}}}


def _digest(key: bytes, value: str) -> str:
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:12]


def _refuse_taken(name: str, host: str) -> None:
    if host == settings.POSTERN.host:
        raise Conflict(f"app {name!r} cannot live at {host}: that is Postern's own address", "set spec.public_addr")
    other = App.objects.filter(host=host).exclude(name=name).first()
    if other:
        raise Conflict(f"app {name!r} cannot live at {host}: app {other.name!r} does", "set spec.public_addr")
