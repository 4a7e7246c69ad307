"""The groups that a SCIM client keeps: who is in them by its word, beside whoever is in them by others'.

A client fills groups it made itself, and groups that its connector's document names. What it does not keep it does not
see. Nobody gets into a local group by a client unless that group is named: a role may be bound to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import Group, Identity, Membership, ProvisionedGroup, User
from accounts.names import group_name
from accounts.services.users import create_group
from broker.audit.event import Event, GroupMemberAdded, GroupMemberRemoved
from broker.audit.log import record
from broker.errors import Conflict, Invalid, NotFound, PosternError
from broker.policy.claims import value_pattern
from broker.services.groups import remove_group
from broker.services.leavers import loud_if_nobody_is_left
from broker.services.scim_tokens import ScimClient, turn
from broker.services.scim_users import Term, check_version

NAME_HINT = "32 letters, digits and . _ - at most; give the group such a name where it comes from"
AT_ONCE = 500
"""Rows and events written in one statement."""


class NotTheirs(PosternError):
    """A group that the connector's document does not give to this client."""

    def __init__(self, client: ScimClient, name: str) -> None:
        super().__init__(f"{client.source} may not keep the group {name}", "name it in spec.groups of the connector")


@dataclass(frozen=True, slots=True)
class GroupChange:
    """What a client says of a group. None: it does not say. `members` are all that shall be in it by this client;
    without it, `add` come in and `remove` go out.
    """

    display_name: str | None = None
    external_id: str | None = None
    members: frozenset[str] | None = None
    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class KeptGroup:
    """A group as its client sees it. `members` None: not asked for; else (id, name)."""

    id: str
    display_name: str
    external_id: str
    members: tuple[tuple[str, str], ...] | None
    version: str
    created_at: datetime
    changed_at: datetime


def list_groups(
    client: ScimClient, terms: Iterable[Term], start: int, count: int, *, members: bool = True
) -> tuple[list[KeptGroup], int]:
    """A page of the client's groups that match all terms, `start` counted from 0, and how many match in all."""
    rows = _rows(client).order_by("created_at", "pk")
    for attribute, value in terms:
        rows = rows.filter(_condition(client, attribute, str(value)))
    return _shown(client, list(rows[start : start + count]), members=members), rows.count()


def get_group(client: ScimClient, ident: str, *, members: bool = True) -> KeptGroup:
    """One of the client's groups. Raises NotFound."""
    return _shown(client, [_row(client, ident)], members=members)[0]


def create_kept_group(client: ScimClient, said: GroupChange) -> KeptGroup:
    """A group that the client keeps from now on. Raises Invalid, Conflict, NotTheirs."""
    name = said.display_name or ""
    with turn(client), loud_if_nobody_is_left(client.origin, client.source):
        _external_id_must_be_free(client, said)
        _hold(_known(client, said.members or ()))
        group, made = _group_named(client, name)
        row = ProvisionedGroup.objects.create(
            connector=client.connector,
            group=group,
            display_name=name,
            external_id=said.external_id or "",
            made=made,
        )
        _set_members(client, row, said)
        return get_group(client, str(row.pk))


def change_group(
    client: ScimClient, ident: str, change: Callable[[KeptGroup], GroupChange], versions: Sequence[str] | None
) -> KeptGroup:
    """Bring a group to what `change` says, if it is at one of `versions`. Without its members in the answer.

    Raises NotFound, Stale, Invalid, Conflict, NotTheirs; then nothing is changed.
    """
    with turn(client), loud_if_nobody_is_left(client.origin, client.source):
        row = _row(client, ident)
        before = _shown(client, [row], members=False)[0]
        check_version(before.version, versions)
        said = change(before)
        _external_id_must_be_free(client, said, row)
        if said.display_name is not None and said.display_name != row.display_name:
            _hold(_members(client, row.group) | _known(client, said.members or said.add))
        changed = _set_members(client, row, said)
        if said.display_name is not None and said.display_name != row.display_name:
            _rename(client, row, said.display_name)
            changed = True
        if said.external_id is not None and said.external_id != row.external_id:
            row.external_id, changed = said.external_id, True
        if changed:
            row.version += 1
            row.save()
        return _shown(client, [row], members=False)[0]


def delete_group(client: ScimClient, ident: str, versions: Sequence[str] | None) -> None:
    """The client keeps the group no more: whom it put there is out. A group it made goes too, if nobody else is in it.

    Raises NotFound, Stale.
    """
    with turn(client), loud_if_nobody_is_left(client.origin, client.source):
        row = _row(client, ident)
        check_version(_shown(client, [row], members=False)[0].version, versions)
        _set_members(client, row, GroupChange(members=frozenset()))
        row.delete()
        _drop_if_made(client, row.group, made=row.made)


def _rename(client: ScimClient, row: ProvisionedGroup, name: str) -> None:
    """Whom the client keeps there moves to the group of the new name: what roles give goes by the group, not by them.

    Another spelling of the same name moves nobody.
    """
    old, was_made = row.group, row.made
    row.display_name = name
    if group_name(name) == old.name_key:
        return
    members = frozenset(str(user_id) for user_id in _members(client, old))
    _set_members(client, row, GroupChange(members=frozenset()))
    row.group, row.made = _group_named(client, name)
    row.save()
    _set_members(client, row, GroupChange(members=members))
    _drop_if_made(client, old, made=was_made)


def _drop_if_made(client: ScimClient, group: Group, *, made: bool) -> None:
    if made and not Membership.objects.filter(group=group).exists():
        remove_group(client.origin, group.name)


def _group_named(client: ScimClient, name: str) -> tuple[Group, bool]:
    """The group that a client's word names, and whether it was made just now. Raises Invalid, Conflict, NotTheirs."""
    key = group_name(name)
    if not key:
        raise Invalid(f"displayName {name[:64]!r} cannot be the name of a group here", NAME_HINT)
    group = Group.objects.select_for_update().filter(name_key=key).first()
    if group is not None and _rows(client).filter(group=group).exists():
        raise Conflict(f"this client keeps the group {key} already")
    if not _may_fill(client, key, group):
        raise NotTheirs(client, key)
    return (group, False) if group is not None else (create_group(client.origin, key), True)


def _may_fill(client: ScimClient, key: str, group: Group | None, *, made: bool = False) -> bool:
    """By default deny: without patterns only what is new, or was made by the client."""
    if client.spec.groups:
        return any(value_pattern(pattern).matches(key) for pattern in client.spec.groups)
    return group is None or made


def _set_members(client: ScimClient, row: ProvisionedGroup, said: GroupChange) -> bool:
    """Bring this client's memberships to what it says; False if that changes nothing. Raises Invalid, NotTheirs."""
    had, gone = _members(client, row.group), set[UUID]()
    if said.members is not None:
        wanted = _known(client, said.members)
        add, gone = wanted - had, had - wanted
    else:
        add = _known(client, said.add) - had
        gone = {user_id for user_id in had if str(user_id) in said.remove - said.add}
    if add and not _may_fill(client, row.group.name_key, row.group, made=row.made):
        raise NotTheirs(client, row.group.name)
    if not add and not gone:
        return False
    Membership.objects.bulk_create(
        [Membership(user_id=user_id, group=row.group, source=client.source) for user_id in sorted(add)], AT_ONCE
    )
    for some in _parts(gone):
        Membership.objects.filter(group=row.group, source=client.source, user__in=some).delete()
    _record(client, row.group, GroupMemberAdded, add)
    _record(client, row.group, GroupMemberRemoved, gone)
    return True


def _record(client: ScimClient, group: Group, kind: type[GroupMemberAdded | GroupMemberRemoved], ids: set[Any]) -> None:
    about = {"id": str(group.pk), "label": group.name}
    for some in _parts(ids):
        names = User.objects.filter(pk__in=some).order_by("username_key").values_list("pk", "username")
        events: list[Event] = [
            kind(**about, user_name=name, also_touches=(f"user:{user_id}",))  # type: ignore[arg-type]
            for user_id, name in names
        ]
        record(client.origin, *events)


def _members(client: ScimClient, group: Group) -> set[UUID]:
    """Whom this client keeps in a group."""
    rows = Membership.objects.filter(group=group, source=client.source)
    return set(rows.values_list("user_id", flat=True))


def _known(client: ScimClient, idents: Collection[str]) -> set[UUID]:
    """The users that a client means. Raises Invalid for one that is not its own."""
    found: set[str] = set()
    for some in _parts(idents):
        rows = Identity.objects.filter(connector=client.connector, issuer=client.source, subject__in=some)
        found |= set(rows.values_list("subject", flat=True))
    missing = sorted(set(idents) - found)
    if missing:
        raise Invalid(f"there is no user {missing[0][:64]!r} to be a member", "provision the user first")
    return {UUID(ident) for ident in found}


def _hold(ids: Collection[UUID]) -> None:
    """Lock these users' rows, which memberships name, before anything is on record: so nobody waits for each other."""
    for some in _parts(ids):
        list(User.objects.select_for_update(no_key=True).filter(pk__in=some).order_by("pk").values_list("pk"))


def _uuid(ident: str) -> UUID | None:
    try:
        return UUID(ident)
    except ValueError:
        return None


def _parts(items: Collection[Any]) -> Iterator[list[Any]]:
    ordered = sorted(items)
    return (ordered[at : at + AT_ONCE] for at in range(0, len(ordered), AT_ONCE))


def _external_id_must_be_free(client: ScimClient, said: GroupChange, row: ProvisionedGroup | None = None) -> None:
    others = _rows(client).exclude(pk__in=[row.pk] if row else [])
    if said.external_id and others.filter(external_id=said.external_id).exists():
        raise Conflict(f"there is a group with externalId {said.external_id[:64]!r} already")


def _rows(client: ScimClient) -> QuerySet[ProvisionedGroup]:
    return ProvisionedGroup.objects.filter(connector=client.connector).select_related("group")


def _row(client: ScimClient, ident: str) -> ProvisionedGroup:
    key = _uuid(ident)
    row = _rows(client).filter(pk=key).first() if key is not None else None
    if row is None:
        raise NotFound(f"there is no group {ident[:64]!r}")
    return row


def _condition(client: ScimClient, attribute: str, value: str) -> Q:
    """The rows that a term of a filter means."""
    key = _uuid(value)
    match attribute:
        case "displayName":
            return Q(group__name_key=group_name(value) or None)
        case "externalId":
            return Q(external_id=value)
        case "id":
            return Q(pk__in=[key] if key else [])
        case _:
            mine = Membership.objects.filter(source=client.source, user__in=[key] if key else [])
            return Q(group__in=mine.values("group"))


def _shown(client: ScimClient, rows: Sequence[ProvisionedGroup], *, members: bool) -> list[KeptGroup]:
    inside: dict[Any, list[tuple[str, str]]] = {}
    if members and rows:
        found = Membership.objects.filter(source=client.source, group__in=[row.group_id for row in rows])
        for group_id, user_id, name in found.order_by("user__username_key").values_list(
            "group_id", "user_id", "user__username"
        ):
            inside.setdefault(group_id, []).append((str(user_id), name))
    return [
        KeptGroup(
            str(row.pk),
            row.display_name,
            row.external_id,
            tuple(inside.get(row.group_id, ())) if members else None,
            f"{row.pk.hex[:8]}-{row.version}",
            row.created_at,
            row.changed_at,
        )
        for row in rows
    ]
