"""The users that a SCIM client provisions: made, changed, taken out and removed by it, and by it alone.

A client sees and touches the users it made and no others. Names and addresses link nothing: a taken name is a conflict.
The Postern name is settled when the user is made; whatever the client calls them later is kept beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts.models import Identity, Membership, ProvisionedGroup, User
from accounts.names import name_key, user_name
from accounts.services import users as accounts
from broker.audit.connector_event import IdentityChanged, IdentityLinked
from broker.audit.log import record
from broker.errors import Conflict, Invalid, NotFound, PosternError
from broker.services import leavers
from broker.services.scim_links import follow_link
from broker.services.scim_tokens import ScimClient, turn
from broker.services.users import remove_user

Term = tuple[str, str | bool]
"""What a filter asks for: an attribute (`userName`, `emails.value`, `emails.work`, `active` …) and its value."""
NAME_HINT = "32 letters, digits and . _ - at most; of an address, the part before the @ counts"


class Stale(PosternError):
    """It changed since the client looked."""

    def __init__(self) -> None:
        super().__init__("this changed since you looked", "fetch it again")


@dataclass(frozen=True, slots=True)
class UserRecord:
    """What a client says of a user. `active` None: it does not say, so that stays as it is."""

    user_name: str
    external_id: str = ""
    display_name: str = ""
    name: Mapping[str, str] = field(default_factory=dict)
    emails: tuple[Mapping[str, Any], ...] = ()
    active: bool | None = None

    def said(self) -> dict[str, Any]:
        """As it is kept and given back: by the client's own words, without what is empty."""
        words: dict[str, Any] = {
            "userName": self.user_name,
            "externalId": self.external_id,
            "displayName": self.display_name,
            "name": dict(self.name),
            "emails": [dict(email) for email in self.emails],
        }
        return {key: value for key, value in words.items() if value}

    @property
    def full_name(self) -> str:
        """What people are called on pages."""
        parts = (self.name.get("givenName", ""), self.name.get("familyName", ""))
        return (self.display_name or self.name.get("formatted", "") or " ".join(filter(None, parts)))[:200]

    @property
    def email(self) -> str:
        """The address that counts: the primary one, else the one for work, else the first."""
        ranked = sorted(self.emails, key=lambda e: (e.get("primary") is not True, e.get("type") != "work"))
        return str(ranked[0].get("value", "")) if ranked else ""


@dataclass(frozen=True, slots=True)
class ProvisionedUser:
    """A user as their client sees them. `groups` are those it keeps them in: (id, name)."""

    id: str
    said: Mapping[str, Any]
    active: bool
    groups: tuple[tuple[str, str], ...]
    created_at: datetime
    changed_at: datetime

    @property
    def version(self) -> str:
        """Another one whenever anything a client can see is different."""
        seen = json.dumps([self.id, self.said, self.active, self.groups], sort_keys=True)
        return hashlib.sha256(seen.encode()).hexdigest()[:24]


Change = Callable[[ProvisionedUser], UserRecord]


def list_users(
    client: ScimClient, terms: Iterable[Term], start: int, count: int, *, groups: bool = True
) -> tuple[list[ProvisionedUser], int]:
    """A page of the client's users that match all terms, `start` counted from 0, and how many match in all."""
    rows = _rows(client).order_by("created_at", "pk")
    for attribute, value in terms:
        rows = rows.filter(_condition(client, attribute, value))
    return _shown(client, list(rows[start : start + count]), groups=groups), rows.count()


def get_user(client: ScimClient, ident: str) -> ProvisionedUser:
    """One of the client's users. Raises NotFound."""
    return _shown(client, [_row(client, ident)])[0]


def create_user(client: ScimClient, said: UserRecord) -> ProvisionedUser:
    """A new user of the client. Raises Invalid, or Conflict for a name or external id that is taken."""
    name = postern_name(said.user_name)
    with turn(client):
        if User.objects.by_name(name):
            raise Conflict(f"there is a user {name} already", "users of others are neither linked nor changed")
        _must_be_free(client, said)
        user = accounts.create_user(client.origin, name, full_name=said.full_name, email=said.email)
        row = Identity.objects.create(
            user=user,
            connector=client.connector,
            issuer=client.source,
            subject=str(user.pk),
            claims=_claims(said),
            last_seen_at=timezone.now(),
        )
        record(client.origin, IdentityLinked(**_about(client, row)))
        _write(client, row, said)
        return get_user(client, row.subject)


def change_user(client: ScimClient, ident: str, change: Change, versions: Sequence[str] | None) -> ProvisionedUser:
    """Bring a user to what `change` makes of them now, if they are at one of `versions` (None: whatever they are at).

    Raises NotFound, Stale, Conflict, and what `change` raises; then nothing is changed.
    """
    with turn(client):
        row = _held(client, ident)
        before = _shown(client, [row])[0]
        check_version(before.version, versions)
        said = change(before)
        _must_be_free(client, said, row)
        claims = _claims(said)
        changed = tuple(sorted(key for key in claims.keys() | before.said if claims.get(key) != before.said.get(key)))
        changed = tuple(key for key in changed if key not in _OURS)
        if changed:
            row.claims, row.last_seen_at = {**_ours(row), **claims}, timezone.now()
            row.save(update_fields=["claims", "last_seen_at"])
        _write(client, row, said)  # before the rest is on record: it takes the rows of sessions
        if changed:
            record(client.origin, IdentityChanged(**_about(client, row), changed=changed))
            accounts.update_user(client.origin, row.user, full_name=said.full_name, email=said.email)
        return get_user(client, ident)


def deactivate(client: ScimClient, ident: str) -> int:
    """Take a user out whatever else the client says of them; answers how many sessions ended. Raises NotFound."""
    with turn(client):
        return _take_out(client, _held(client, ident).user)


def delete_user(client: ScimClient, ident: str, versions: Sequence[str] | None) -> None:
    """End all the user has open, then remove them; the log keeps their name. Raises NotFound, Stale."""
    with turn(client):
        row = _held(client, ident)
        if versions is not None:
            check_version(_shown(client, [row])[0].version, versions)
        _take_out(client, row.user)
        in_them = Membership.objects.filter(source=client.source, user=row.user).values("group")
        kept = ProvisionedGroup.objects.filter(connector=client.connector, group__in=in_them)
        kept.update(version=F("version") + 1, changed_at=timezone.now())
        remove_user(client.origin, row.user.username)


def postern_name(typed: str) -> str:
    """The Postern name for a client's `userName`: itself, or of an address the part before the @. Raises Invalid."""
    local, _, domain = typed.partition("@")
    name = user_name(typed) or user_name(local)
    if not name or "@" in domain:
        raise Invalid(f"userName {typed[:64]!r} gives no name that could be used here", NAME_HINT)
    return name


def check_version(now: str, versions: Sequence[str] | None) -> None:
    """Raises Stale unless `now` is one of `versions`; None and `*` stand for any."""
    if versions is not None and now not in versions and "*" not in versions:
        raise Stale


_OURS = frozenset({"userNameKey", "link"})
"""What is kept among the claims for ourselves: how the name is found, and which account elsewhere follows."""


def _claims(said: UserRecord) -> dict[str, Any]:
    return {**said.said(), "userNameKey": name_key(said.user_name)}


def _ours(row: Identity) -> dict[str, Any]:
    return {key: value for key, value in row.claims.items() if key in _OURS}


def _write(client: ScimClient, row: Identity, said: UserRecord) -> None:
    """What follows from a user's record: the account they sign in with elsewhere, and whether they may at all."""
    if said.active is False:
        _take_out(client, row.user)  # and nothing else, which might fail
        return
    follow_link(client, row)
    if said.active:
        leavers.let_in_again(client.origin, row.user, by=client.source)


def _take_out(client: ScimClient, user: User) -> int:
    return leavers.take_out(client.origin, user, f"{client.source} says they have left", by=client.source)


def _must_be_free(client: ScimClient, said: UserRecord, row: Identity | None = None) -> None:
    """Raises Conflict if another of the client's users has that name or external id."""
    others = _rows(client)
    if row is not None:
        others = others.exclude(pk=row.pk)
    if others.filter(_condition(client, "userName", said.user_name)).exists():
        raise Conflict(f"there is a user with userName {said.user_name[:64]!r} already")
    if said.external_id and others.filter(_condition(client, "externalId", said.external_id)).exists():
        raise Conflict(f"there is a user with externalId {said.external_id[:64]!r} already")


def _rows(client: ScimClient) -> QuerySet[Identity]:
    return Identity.objects.filter(connector=client.connector, issuer=client.source).select_related("user")


def _row(client: ScimClient, ident: str) -> Identity:
    row = _rows(client).filter(subject=ident).first() if "\0" not in ident else None
    if row is None:
        raise NotFound(f"there is no user {ident[:64]!r}")
    return row


def _held(client: ScimClient, ident: str) -> Identity:
    """The same; its user's row locked before anything is on record, as everywhere, so that nobody deadlocks."""
    list(User.objects.select_for_update().filter(pk=_row(client, ident).user_id).order_by().values_list("pk"))
    return _row(client, ident)


def _condition(client: ScimClient, attribute: str, value: str | bool) -> Q:
    """The rows that a term of a filter means."""
    match attribute:
        case "id":
            return Q(subject=value)
        case "userName":
            return Q(claims__userNameKey=name_key(str(value)))
        case "externalId":
            return Q(claims__externalId=value)
        case "active":
            return Q(user__disabled_at__isnull=value)
        case _:
            return Q(pk__in=_with_email(client, str(value), attribute.partition(".")[2]))


def _with_email(client: ScimClient, address: str, kind: str) -> list[Any]:
    """Whoever has that address in an email, of any type or of one. No index knows them, so all are read."""
    wanted = name_key(address)
    return [
        pk
        for pk, emails in _rows(client).values_list("pk", "claims__emails")
        for email in emails or ()
        if name_key(str(email.get("value", ""))) == wanted and kind in ("value", email.get("type"))
    ]


def _shown(client: ScimClient, rows: Sequence[Identity], *, groups: bool = True) -> list[ProvisionedUser]:
    mine: dict[Any, list[tuple[str, str]]] = {}
    if groups and rows:
        kept = {
            group_id: (str(ident), name)
            for group_id, ident, name in ProvisionedGroup.objects.filter(connector=client.connector).values_list(
                "group_id", "id", "display_name"
            )
        }
        members = Membership.objects.filter(source=client.source, user__in=[row.user_id for row in rows])
        for user_id, group_id in members.values_list("user_id", "group_id"):
            if group_id in kept:
                mine.setdefault(user_id, []).append(kept[group_id])
    return [
        ProvisionedUser(
            row.subject,
            {key: value for key, value in row.claims.items() if key not in _OURS},
            row.user.is_active,
            tuple(sorted(mine.get(row.user_id, ()))),
            row.created_at,
            row.last_seen_at or row.created_at,
        )
        for row in rows
    ]


def _about(client: ScimClient, row: Identity) -> dict[str, Any]:
    about = {"id": str(row.user_id), "label": row.user.username}
    return {**about, "connector": client.connector.name, "subject": row.subject}
