"""Trying a directory: whom a typed name finds, what they would come in as, and why not. Nobody comes in by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction

from accounts import connectors
from accounts.directory.entry import Ambiguous
from accounts.directory.known import directory_of
from accounts.models import Connector, Identity
from accounts.services.directory_arrival import arrival_of
from accounts.services.identities import Arrival, Refused, arrive
from broker.audit.connector_event import ConnectorTested
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Conflict, Unavailable
from broker.policy import Subject
from broker.services.decisions import require
from broker.services.delegation import only_full_administrators

if TYPE_CHECKING:
    from accounts.directory.directory import Directory
    from accounts.directory.entry import Entry


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went: who was found (`dn`, `arrival`), what would happen, or what is wrong under a stable name (`why`)."""

    would: str = ""
    problem: str = ""
    hint: str = ""
    why: str = ""
    dn: str = ""
    arrival: Arrival | None = None


def try_name(origin: Origin, subject: Subject | None, name: str, typed: str) -> Trial:
    """Look somebody up as a sign-in would, with no password. Raises Denied, NotFound, Conflict."""
    may_try(origin, subject, name)
    connector = connectors.named(name)
    if connector.kind != Connector.Kind.LDAP:
        raise Conflict(f"{connector.source} is no directory", "only connectors of kind ldap can be asked for a name")
    trial = _tried(origin, connector, typed)
    about = {"id": str(connector.pk), "label": connector.name, "connector_kind": connector.kind}
    with transaction.atomic():
        record(origin, ConnectorTested(**about, outcome=trial.why or "ok"))  # type: ignore[arg-type]
    return trial


def may_try(origin: Origin, subject: Subject | None, name: str) -> None:
    """Refuse whoever may not change the connector: a trial shows what it tells of anybody. Raises Denied."""
    require(origin, subject, "connector.update", name)
    only_full_administrators(origin, subject, "connector.update", name)


def _tried(origin: Origin, connector: Connector, typed: str) -> Trial:
    try:
        directory = directory_of(connector)
        entry = directory.find(typed)
        if entry is None:
            connectors.note_ok(connector)
            hint = "see user_search.base and user_search.filter, and whether the account of bind_dn may read the entry"
            return Trial(problem="no entry goes by that name", hint=hint, why="no-entry")
        trial = _foreseen(origin, connector, directory, entry)
    except Ambiguous:
        hint = "narrow user_search.base or user_search.filter"
        return Trial(problem="more than one entry goes by that name: nobody would come in", hint=hint, why="ambiguous")
    except Unavailable as error:
        connectors.note_problem(connector, error.message)
        return Trial(problem=error.message, hint=error.hint, why="directory-down")
    connectors.note_ok(connector)
    return trial


def _foreseen(origin: Origin, connector: Connector, directory: Directory, entry: Entry) -> Trial:
    """What a sign-in would come to, found out by doing it and undoing it."""
    arrival = arrival_of(connector, directory, entry)
    if directory.is_disabled(entry):
        words = "the directory says that this account is disabled"
        return Trial(
            problem=words, hint="see user_search.disabled_filter", why="disabled", dn=entry.dn, arrival=arrival
        )
    known = Identity.objects.filter(issuer=arrival.issuer, subject=arrival.subject).exists()
    try:
        with transaction.atomic():
            who = arrive(origin, arrival, connectors.ldap_spec(connector).creation).user.username
            transaction.set_rollback(True)
    except Refused as error:
        return Trial("", error.message, error.hint, error.why, entry.dn, arrival)
    return Trial(f"sign in as {who}" if known else f"create {who} and sign in", dn=entry.dn, arrival=arrival)
