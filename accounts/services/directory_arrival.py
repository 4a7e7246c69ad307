"""Bringing somebody's entry in a directory here: read it, map it, and write only what is not overtaken.

A reader that was slow must not undo what a faster one has seen since. So whoever writes looks first whether the
identity was written after the entry was read, and reads again if so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from django.db import transaction

from accounts.models import Connector, Identity
from accounts.names import group_name
from accounts.services.identities import Arrival
from broker.errors import Conflict
from broker.policy.claims import flatten, map_claims

if TYPE_CHECKING:
    from accounts.directory.directory import Directory
    from accounts.directory.entry import Entry

TRIES = 5
Read = TypeVar("Read")
Written = TypeVar("Written")


def arrival_of(connector: Connector, directory: Directory, entry: Entry) -> Arrival:
    """Whom a directory vouches for, with the groups they are in now. Raises Unavailable."""
    from accounts.directory.attributes import claims_of

    claims = claims_of(directory.spec, entry.dn, entry.attributes, directory.groups_of(entry))
    outcome = map_claims(directory.spec.mapping, flatten(claims), group_name)
    # Who keeps the directory keeps the addresses in it.
    return Arrival(connector, connector.source, entry.uuid, outcome, claims, email_verified=True)


def read_then_write(
    issuer: str, subject: str, read: Callable[[], Read], write: Callable[[Read], Written]
) -> tuple[Read, Written]:
    """What was read, and what `write` made of it in a transaction in which nothing newer had been written."""
    for _ in range(TRIES):
        before = Identity.objects.filter(issuer=issuer, subject=subject).values_list("last_seen_at", flat=True).first()
        fresh = read()
        with transaction.atomic():
            rows = Identity.objects.select_for_update(of=("self",)).filter(issuer=issuer, subject=subject)
            if rows.values_list("last_seen_at", flat=True).first() == before:
                return fresh, write(fresh)
    raise Conflict("this person's entry keeps changing", "try again in a moment")
