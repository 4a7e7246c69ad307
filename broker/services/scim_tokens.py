"""SCIM clients and their tokens: who may provision, and as whom that is on record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import connectors
from accounts.models import Connector
from accounts.throttle import Door, pay
from broker.audit.connector_event import ConnectorTokenMade, ConnectorTokenRefused
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents import ScimSpec
from broker.errors import Conflict, Invalid, PosternError, Unavailable
from broker.policy import Subject
from broker.services.decisions import require
from broker.services.delegation import only_full_administrators
from broker.tokens import digest, new_token

PREFIX = "ptn_scim_"


class NotAClient(PosternError):
    """No token, or one that opens nothing (any more): all of them sound the same."""

    def __init__(self) -> None:
        super().__init__("this needs the token of a SCIM client", "make one: postern admin scim-token NAME")


@dataclass(frozen=True, slots=True)
class ScimClient:
    """A provisioning client at work: its connector, what that may do, and the origin of what it causes."""

    connector: Connector
    spec: ScimSpec
    origin: Origin

    @property
    def source(self) -> str:
        """What its users' identities, its memberships and the log call it: `scim:NAME`."""
        return self.connector.source


@dataclass(frozen=True, slots=True)
class Made:
    """A new token. It is told once: only its hash is kept."""

    token: str = field(repr=False)
    made_at: datetime


def make_token(origin: Origin, subject: Subject | None, name: str) -> Made:
    """A token for the SCIM client of that name; the one before opens nothing any more. Raises Denied, NotFound,
    Conflict.
    """
    require(origin, subject, "connector.update", name)
    only_full_administrators(origin, subject, "connector.update", name)
    token, now = new_token(PREFIX), timezone.now()
    with transaction.atomic():
        row = Connector.objects.select_for_update().get(pk=connectors.named(name).pk)
        if row.kind != Connector.Kind.SCIM:
            raise Conflict(f"{row.source} has no token", "only connectors of kind scim have one")
        row.token_hash, row.token_made_at = digest(token), now
        row.save(update_fields=["token_hash", "token_made_at"])
        record(origin, ConnectorTokenMade(id=str(row.pk), label=row.name, connector_kind=row.kind))
    return Made(token, now)


def client_of(origin: Origin, token: str) -> ScimClient:
    """The client whom a token belongs to. Raises NotAClient; Throttled after too many bad tokens from one address.

    A token is found by its hash, so no comparison tells anything about it. Good tokens are never throttled.
    """
    row = Connector.objects.filter(token_hash=digest(token), kind=Connector.Kind.SCIM).first()
    if row is None or not row.enabled:
        _refuse(origin, row)
    try:
        spec = connectors.scim_spec(row)
    except Invalid:
        raise Unavailable(f"connector {row.name} has a document that cannot be read", "write it anew") from None
    by = Origin("connector", str(row.pk), row.source, origin.address, origin.request_id)
    return ScimClient(row, spec, by)


def _refuse(origin: Origin, row: Connector | None) -> NoReturn:
    pay(Door("", origin.address).address_keys())
    with transaction.atomic():
        ident, name, why = (str(row.pk), row.name, "disabled") if row else ("", "", "unknown")
        record(origin, ConnectorTokenRefused(id=ident, label=name, why=why, connector_kind="scim"))
    raise NotAClient


@contextmanager
def turn(client: ScimClient) -> Iterator[None]:
    """One transaction of a client, one at a time. Raises NotAClient if it was switched off meanwhile, Unavailable if
    its document changed, Conflict if somebody else made the same thing.
    """
    try:
        with transaction.atomic():
            row = Connector.objects.select_for_update().filter(pk=client.connector.pk).first()
            if row is None or not row.enabled or row.token_hash != client.connector.token_hash:
                raise NotAClient
            if row.document != client.connector.document:
                raise Unavailable(f"{row.source} was changed meanwhile", "try again")
            yield
    except IntegrityError:
        raise Conflict("somebody else made the same thing meanwhile", "look again, then try again") from None
