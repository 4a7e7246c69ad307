"""The connectors there are: what their documents say, and how the other side was when it was last asked.

A spec read here says `kept:FINGERPRINT` where its secret stands; the secret itself is `Connector.secret`.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.models import Connector
from broker.audit.connector_event import ConnectorFailed, ConnectorRecovered
from broker.audit.log import record
from broker.audit.origin import system
from broker.documents import ConnectorSpec, LdapSpec, OidcSpec, ScimSpec, parse_mapping
from broker.errors import Invalid, NotFound

log = logging.getLogger(__name__)

NOTE_EVERY = 5.0
"""Seconds between two notes of one process that say the same of a connector."""
MAX_KEPT = 256
_specs: dict[UUID, tuple[Any, ConnectorSpec]] = {}
_noted: dict[UUID, tuple[float, str]] = {}
_lock = threading.Lock()


def spec_of(connector: Connector) -> ConnectorSpec:
    """What the connector's document says. Raises Invalid if it was damaged; then nobody comes in by it."""
    known = _specs.get(connector.pk)
    if known is not None and known[0] == connector.document:
        return known[1]
    spec = parse_mapping(connector.kind, connector.document)
    if not isinstance(spec, OidcSpec | LdapSpec | ScimSpec):
        raise Invalid(f"{connector.source} is no connector")
    if len(_specs) >= MAX_KEPT:
        _specs.clear()
    _specs[connector.pk] = (connector.document, spec)
    return spec


def oidc_spec(connector: Connector) -> OidcSpec:
    """The same for a row that must be an OpenID Provider."""
    spec = spec_of(connector)
    if not isinstance(spec, OidcSpec):
        raise Invalid(f"{connector.source} is no OpenID Provider")
    return spec


def ldap_spec(connector: Connector) -> LdapSpec:
    """The same for a row that must be a directory."""
    spec = spec_of(connector)
    if not isinstance(spec, LdapSpec):
        raise Invalid(f"{connector.source} is no directory")
    return spec


def scim_spec(connector: Connector) -> ScimSpec:
    """The same for a row that must be a provisioning client."""
    spec = spec_of(connector)
    if not isinstance(spec, ScimSpec):
        raise Invalid(f"{connector.source} is no provisioning client")
    return spec


def enabled(kind: str) -> list[Connector]:
    """The connectors of a kind that are switched on, by name."""
    return list(Connector.objects.filter(kind=kind, enabled=True))


def named(name: str) -> Connector:
    """The connector of that name, on or off. Raises NotFound."""
    found = Connector.objects.filter(name=name).first() if "\0" not in name else None
    if found is None:
        raise NotFound(f"there is no connector {name[:63]!r}", "list them with: postern admin get oidc")
    return found


def hold_if_on(source: str) -> bool:
    """Whether the connector of that source is on, and stays so until the caller's transaction ends: what comes by it is
    there for whoever switches it off to end.
    """
    kind, _, name = source.partition(":")
    rows = Connector.objects.select_for_update(no_key=True).filter(kind=kind, name=name, enabled=True)
    return bool(rows.order_by().values_list("pk"))


def note_ok(connector: Connector) -> None:
    """The other side answered as it should. Never raises, and writes no more than every few seconds."""
    _note(connector, "")


def note_problem(connector: Connector, words: str) -> None:
    """The other side did not answer, or not as it should: `words` for administrators, without any secret."""
    _note(connector, " ".join(words.split())[:500] or "it does not answer as it should")


def _note(connector: Connector, problem: str) -> None:
    """Keep it in a transaction of its own; inside another one, once that is through (undone with it, unsaid)."""
    with _lock:
        at, said = _noted.get(connector.pk, (-NOTE_EVERY, ""))
        if said == problem and time.monotonic() - at < NOTE_EVERY:
            return
    if connection.in_atomic_block:
        transaction.on_commit(lambda: _write(connector, problem), robust=True)
    else:
        _write(connector, problem)


def _write(connector: Connector, problem: str) -> None:
    try:
        with transaction.atomic():
            row = Connector.objects.select_for_update().filter(pk=connector.pk).first()
            if row is None:
                return
            was, now = row.problem, timezone.now()
            row.problem, row.checked_at = problem, now
            if not problem:
                row.ok_at, row.failing_since = now, None
            elif not was:
                row.failing_since = now
            row.save(update_fields=["problem", "failing_since", "checked_at", "ok_at"])
            about: dict[str, Any] = {"id": str(row.pk), "label": row.name, "connector_kind": row.kind}
            if problem and not was:
                record(system("connectors"), ConnectorFailed(**about, problem=problem))
            elif was and not problem:
                record(system("connectors"), ConnectorRecovered(**about))
    except DatabaseError:
        log.warning("how connector %s is could not be written down", connector.name, exc_info=True)
        return
    with _lock:
        if len(_noted) >= MAX_KEPT:
            _noted.clear()
        _noted[connector.pk] = (time.monotonic(), problem)
    for field in ("problem", "failing_since", "checked_at", "ok_at"):
        setattr(connector, field, getattr(row, field))


def forget() -> None:
    """Drop what this process remembers (between tests)."""
    _specs.clear()
    _noted.clear()
