"""Users as administrators see them: how documents keep them, and the verbs that documents do not say.

`write_user` and `remove_user` decide nothing and run in the caller's transaction; the other verbs ask policy.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import Prefetch

from accounts.elsewhere import vouched_for
from accounts.models import Identity, Membership, User
from accounts.names import name_key
from accounts.services import invites
from accounts.services import users as accounts
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents import UserSpec, to_document
from broker.errors import Conflict, NotFound
from broker.models import Binding
from broker.policy import Subject
from broker.services import delegation, leavers
from broker.services.access_sessions import ended_events
from broker.services.administrators import one_must_remain
from broker.services.bindings import remove_bindings
from broker.services.decisions import require
from broker.services.impact import Impact


def user_documents(names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """The documents of these users (None: of all), by name. They hold the groups that Postern itself keeps."""
    rows = User.objects.all()
    if names is not None:
        rows = rows.filter(username_key__in=[name_key(name) for name in names])
    local = Membership.objects.filter(source="local").select_related("group").order_by("group__name_key")
    rows = rows.prefetch_related(Prefetch("memberships", local, to_attr="local_memberships"))
    return {row.username: to_document(_spec_of(row)) for row in rows}


def users_who_sign_in() -> frozenset[str]:
    """The users who have a way in, by a password or a connector: a file does not remove them by leaving them out."""
    rows = User.objects.exclude(password="")
    own = frozenset(row.username for row in rows if row.has_usable_password())
    return own | frozenset(Identity.objects.values_list("user__username", flat=True))


def write_user(origin: Origin, spec: UserSpec) -> None:
    """Make the user or bring name, e-mail, traits and groups to what the document says."""
    user = User.objects.by_name(spec.name)
    about: dict[str, Any] = {"full_name": spec.full_name, "email": spec.email, "traits": spec.traits}
    if user is None:
        accounts.create_user(origin, spec.name, groups=spec.groups, **about)
    else:
        accounts.update_user(origin, user, **about)
        accounts.set_groups(origin, user, spec.groups)


def remove_user(origin: Origin, name: str) -> None:
    """Remove the user, what was bound to them, and end all they have open. Raises NotFound."""
    user = accounts.user_named(name)
    remove_bindings(origin, Binding.objects.filter(user=user))
    ended = ended_events("user-deleted", user_id=user.pk)
    if ended:
        record(origin, *ended)
    accounts.delete_user(origin, user)


def disable_user(origin: Origin, subject: Subject | None, name: str, why: str = "", *, dry_run: bool = False) -> int:
    """Nobody may be this user any more, at once; answers how many sessions end. Raises Denied, NotFound, Conflict."""
    require(origin, subject, "user.update", name)
    user = _known(name)
    impact = Impact()
    with transaction.atomic():
        with one_must_remain():
            leavers.disable(origin, user, why)
            ends = impact.count()
        if dry_run:
            transaction.set_rollback(True)
    return ends


def enable_user(origin: Origin, subject: Subject | None, name: str) -> bool:
    """Let a disabled user sign in again; False if they could. Raises Denied, NotFound."""
    require(origin, subject, "user.update", name)
    user = _known(name)
    delegation.may_act_for(origin, subject, user)
    return accounts.enable_user(origin, user)


def invite_user(origin: Origin, subject: Subject | None, name: str) -> invites.Link:
    """A one-use link by which the user comes in. Raises Denied, NotFound, Conflict."""
    require(origin, subject, "user.update", name)
    user = _known(name)
    delegation.may_act_for(origin, subject, user)
    if vouched_for(user):  # a password of ours would let them in after they have left there
        hint = "they need no link; whoever owns the machine can make one with: manage.py invite"
        raise Conflict(f"{user.username} signs in at a provider or directory", hint)
    return invites.invite_user(origin, user)


def _known(name: str) -> User:
    user = User.objects.by_name(name)
    if user is None:
        raise NotFound(f"there is no user {name[:64]!r}", "list them with: postern admin get user")
    return user


def _spec_of(row: User) -> UserSpec:
    memberships: list[Membership] = row.local_memberships  # type: ignore[attr-defined]
    return UserSpec(
        row.username,
        row.full_name,
        row.email,
        tuple(membership.group.name for membership in memberships),
        {name: tuple(values) for name, values in sorted(row.traits.items())},
    )
