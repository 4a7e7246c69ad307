"""Rows of the database as values of the live state. What cannot be read is left out, loudly: it then allows nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.models import Identity, LoginSession, Membership, User
from broker.documents import AppSpec, RoleSpec, ServerSpec, parse_mapping
from broker.errors import Invalid
from broker.live.values import LiveAccess, LiveApp, LiveBinding, LiveLogin, LiveServer, LiveUser
from broker.models import AccessSession, App, Binding, Lock, Role, Server
from broker.policy import Access, Locks, Resource
from broker.policy import Lock as LockValue
from broker.policy.terms import terms_of_resource

log = logging.getLogger(__name__)
S = TypeVar("S", RoleSpec, AppSpec, ServerSpec)


def users(idents: Iterable[str] | None = None) -> Iterable[LiveUser]:
    """All users, or these."""
    found = User.objects.all() if idents is None else User.objects.filter(pk__in=idents)
    memberships = Membership.objects.select_related("group")
    if idents is not None:
        memberships = memberships.filter(user_id__in=idents)
    groups: dict[UUID, dict[str, str]] = {}
    for membership in memberships:
        groups.setdefault(membership.user_id, {})[str(membership.group_id)] = membership.group.name
    said = _traits_of_identities(idents)
    for user in found:
        traits = _traits(user, said.get(user.pk, ()))
        if traits is None:
            log.error("user %s has damaged traits and is nobody", user.username)
            continue
        in_groups = groups.get(user.pk, {})
        yield LiveUser(str(user.pk), user.username, user.kind, user.is_active, traits, in_groups, user.email)


def _traits_of_identities(idents: Iterable[str] | None) -> dict[UUID, list[Any]]:
    """What connectors say of users, by the user's id, older identities first."""
    rows = Identity.objects.order_by("created_at", "pk").exclude(traits={})
    if idents is not None:
        rows = rows.filter(user_id__in=idents)
    found: dict[UUID, list[Any]] = {}
    for user_id, traits in rows.values_list("user_id", "traits"):
        found.setdefault(user_id, []).append(traits)
    return found


def _traits(user: User, said: Iterable[Any]) -> dict[str, tuple[str, ...]] | None:
    """Lists of text by name, those that Postern keeps first; None if they are anything else."""
    merged: dict[str, dict[str, None]] = {}
    for traits in (user.traits, *said):
        if not isinstance(traits, dict):
            return None
        for name, values in traits.items():
            if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
                return None
            merged.setdefault(name, {}).update(dict.fromkeys(values))
    return {name: tuple(values) for name, values in merged.items()}


def _read(row: Role | App | Server, kind: str, wanted: type[S]) -> S | None:
    """The checked document of a row. None, and an error in the log, if it is damaged: it was checked when saved."""
    try:
        if not isinstance(row.document, dict):
            raise Invalid("it is no mapping")
        spec = parse_mapping(kind, row.document)
    except Invalid as error:
        log.error("%s %s cannot be read and opens nothing: %s", kind, row.name, error.message)
        return None
    return spec if isinstance(spec, wanted) else None


def roles(found: Iterable[Role]) -> tuple[dict[str, RoleSpec], frozenset[str]]:
    """The roles that can be read, and the ids of those that cannot."""
    specs = {str(row.pk): _read(row, "role", RoleSpec) for row in found}
    broken = frozenset(pk for pk, spec in specs.items() if spec is None)
    return {pk: spec for pk, spec in specs.items() if spec is not None}, broken


def bindings() -> Iterable[LiveBinding]:
    """All bindings."""
    for row in Binding.objects.all():
        until = row.expires_at.timestamp() if row.expires_at else None
        yield LiveBinding(str(row.pk), str(row.role_id), str(row.user_id or ""), str(row.group_id or ""), until)


def apps(found: Iterable[App]) -> Iterable[LiveApp]:
    """The apps that can be read."""
    for row in found:
        if spec := _read(row, "app", AppSpec):
            public, slashes = tuple(spec.public_paths), spec.allow_encoded_slashes
            terms = terms_of_resource(spec.mfa)
            resource = Resource("app", str(row.pk), row.name, dict(spec.labels), public, slashes, terms)
            yield LiveApp(str(row.pk), row.name, row.host, spec, resource)


def servers(found: Iterable[Server]) -> Iterable[LiveServer]:
    """The servers that can be read."""
    for row in found:
        if spec := _read(row, "server", ServerSpec):
            terms = terms_of_resource(spec.mfa)
            resource = Resource("server", str(row.pk), row.name, dict(spec.labels), terms=terms)
            yield LiveServer(str(row.pk), row.name, row.enrolled_at is not None, spec, resource)


def locks() -> Locks:
    """The locks nobody lifted; those that ended by themselves are told apart by their time."""
    found = Lock.objects.filter(lifted_at=None)
    return Locks(
        LockValue(
            id=str(row.pk),
            target=row.target_kind,  # type: ignore[arg-type]
            name=row.target_name,
            expires_at=row.expires_at.timestamp() if row.expires_at else None,
            message=row.reason,
        )
        for row in found
    )


def logins(idents: Iterable[str]) -> Iterable[LiveLogin]:
    """These login sessions, ended ones too."""
    try:
        found = list(LoginSession.objects.filter(pk__in=idents))
    except ValidationError:
        return
    yield from map(login, found)


def login_of_token(token_hash: str) -> LiveLogin | None:
    """The login session that a token opens."""
    row = LoginSession.objects.filter(token_hash=token_hash).first()
    return login(row) if row else None


def login(row: LoginSession) -> LiveLogin:
    """One login session."""
    return LiveLogin(
        id=str(row.pk),
        kind=row.kind,
        token_hash=row.token_hash,
        user_id=str(row.user_id),
        started_at=row.created_at.timestamp(),
        expires_at=row.expires_at.timestamp(),
        idle_at=row.last_seen_at.timestamp() + settings.POSTERN.session_idle,
        amr=frozenset(row.amr),
        mfa_at=row.mfa_at.timestamp() if row.mfa_at else None,
        mfa_spent_at=row.mfa_spent_at.timestamp() if row.mfa_spent_at else None,
        ended=row.ended_at is not None,
        key_thumbprint=row.key_thumbprint,
        last_address=row.last_address,
        moved_at=row.moved_at.timestamp() if row.moved_at else None,
    )


def access(row: AccessSession) -> LiveAccess:
    """One access session."""
    return LiveAccess(
        id=str(row.pk),
        token_hash=row.token_hash or "",
        credential=row.credential,
        login_id=str(row.login_session_id),
        user_id=str(row.user_id),
        resource_id=str(row.resource_id),
        expires_at=row.expires_at.timestamp(),
        ended=row.ended_at is not None,
        within=Access(row.mfa_at.timestamp() if row.mfa_at else None),
    )
