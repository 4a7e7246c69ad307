"""Creating, changing, disabling and deleting users, and the groups they are in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db import transaction
from django.utils import timezone

from accounts.models import Group, Invite, Membership, User
from accounts.names import is_name, name_key
from accounts.services.factor_resets import cancelled_events
from accounts.services.login_sessions import end_all
from broker.audit.event import (
    Event,
    GroupCreated,
    GroupMemberAdded,
    GroupMemberRemoved,
    UserCreated,
    UserDeleted,
    UserDisabled,
    UserEnabled,
    UserUpdated,
)
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Conflict, Invalid, NotFound

NAME_HINT = "use small letters, digits and . _ - ; begin and end with a letter or digit; 32 characters at most"
Traits = Mapping[str, Sequence[str]]


def user_named(name: str) -> User:
    """The user of that name in any spelling. Raises NotFound."""
    user = User.objects.by_name(name)
    if user is None:
        raise NotFound(f"there is no user {name[:64]}")
    return user


@transaction.atomic
def create_user(
    origin: Origin,
    username: str,
    *,
    full_name: str = "",
    email: str = "",
    traits: Traits | None = None,
    groups: Iterable[str] = (),
    kind: User.Kind = User.Kind.PERSON,
) -> User:
    """A new user, who cannot sign in before accepting an invite. Raises Invalid or Conflict."""
    if not is_name(username):
        raise Invalid(f"{username[:64]!r} cannot be a user name", NAME_HINT)
    if User.objects.by_name(username):
        raise Conflict(f"there is a user {username} already")
    user = User(username=username, full_name=full_name, email=email, traits=plain_traits(traits), kind=kind)
    user.set_unusable_password()
    user.save(force_insert=True)
    names = sorted(set(groups))
    record(origin, UserCreated(id=str(user.pk), label=username, groups=tuple(names)))
    set_groups(origin, user, names)
    return user


@transaction.atomic
def update_user(
    origin: Origin,
    user: User,
    *,
    full_name: str | None = None,
    email: str | None = None,
    traits: Traits | None = None,
) -> bool:
    """Change what is given and differs; False if nothing did."""
    user = User.objects.select_for_update().get(pk=user.pk)
    wanted = {"full_name": full_name, "email": email, "traits": None if traits is None else plain_traits(traits)}
    changed = [name for name, value in wanted.items() if value is not None and getattr(user, name) != value]
    for name in changed:
        setattr(user, name, wanted[name])
    if changed:
        user.save(update_fields=changed)
        record(origin, UserUpdated(id=str(user.pk), label=user.username, changed=tuple(changed)))
    return bool(changed)


@transaction.atomic
def disable_user(origin: Origin, user: User, why: str = "", *, by: str = "") -> int:
    """Nobody may be this user any more, at once and everywhere; answers how many login sessions ended.

    `by` is the connector's source that says so; empty: an administrator. Whoever two of them disabled, one alone does
    not let in again.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    Invite.objects.filter(user=user, used_at=None).delete()
    events: list[Event] = cancelled_events(user)  # nobody can refuse it now, and its link is dead
    if not user.disabled_at:
        user.disabled_at, user.disabled_reason, user.disabled_by = timezone.now(), why[:500], by
        events.append(UserDisabled(id=str(user.pk), label=user.username, why=user.disabled_reason, by=by))
    elif user.disabled_by and user.disabled_by != by:
        user.disabled_by = ""
        events.append(UserDisabled(id=str(user.pk), label=user.username, why=why[:500], by=by))
    user.save(update_fields=["disabled_at", "disabled_reason", "disabled_by"])
    ended = end_all(user, "user-disabled")
    if events or ended:
        record(origin, *events, *ended)
    return len(ended)


@transaction.atomic
def enable_user(origin: Origin, user: User, *, by: str | None = None) -> bool:
    """Let a disabled user sign in again; False if they could, or if somebody else than `by` (None: anybody) disabled
    them. Sessions stay ended.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    if not user.disabled_at or (by is not None and user.disabled_by != by):
        return False
    user.disabled_at, user.disabled_reason, user.disabled_by = None, "", ""
    user.save(update_fields=["disabled_at", "disabled_reason", "disabled_by"])
    record(origin, UserEnabled(id=str(user.pk), label=user.username))
    return True


@transaction.atomic
def delete_user(origin: Origin, user: User) -> int:
    """Remove a user and all they had; the log keeps their name. Answers how many sessions ended."""
    user = User.objects.select_for_update().get(pk=user.pk)
    ended = end_all(user, "user-deleted")
    record(origin, *ended, UserDeleted(id=str(user.pk), label=user.username))
    user.delete()
    return len(ended)


@transaction.atomic
def set_groups(origin: Origin, user: User, names: Iterable[str], source: str = "local") -> bool:
    """Make `names` the groups that `source` puts the user in; other sources' stay. False if nothing changed."""
    User.objects.select_for_update().get(pk=user.pk)
    wanted = {name_key(name): name for name in names}
    groups = {group.name_key: group for group in Group.objects.filter(name_key__in=wanted)}
    events: list[Event] = []
    for key in sorted(wanted.keys() - groups.keys()):
        groups[key], created = _new_group(wanted[key])
        events.append(created)
    had = {m.group_id: m for m in Membership.objects.filter(user=user, source=source).select_related("group")}
    added = [group for group in groups.values() if group.pk not in had]
    removed = [m for m in had.values() if m.group_id not in {group.pk for group in groups.values()}]
    Membership.objects.bulk_create(Membership(user=user, group=group, source=source) for group in added)
    Membership.objects.filter(pk__in=[m.pk for m in removed]).delete()
    events += [GroupMemberAdded(**_about(group, user)) for group in added]  # type: ignore[arg-type]
    events += [GroupMemberRemoved(**_about(m.group, user)) for m in removed]  # type: ignore[arg-type]
    if events:
        record(origin, *events)
    return bool(events)


@transaction.atomic
def create_group(origin: Origin, name: str, description: str = "") -> Group:
    """A new group without members. Raises Invalid or Conflict."""
    if Group.objects.filter(name_key=name_key(name)).exists():
        raise Conflict(f"there is a group {name} already")
    group, created = _new_group(name, description)
    record(origin, created)
    return group


def _new_group(name: str, description: str = "") -> tuple[Group, Event]:
    if not is_name(name):
        raise Invalid(f"{name[:64]!r} cannot be a group name", NAME_HINT)
    group = Group.objects.create(name=name, description=description)
    return group, GroupCreated(id=str(group.pk), label=name)


def _about(group: Group, user: User) -> dict[str, object]:
    return {
        "id": str(group.pk),
        "label": group.name,
        "user_name": user.username,
        "also_touches": (f"user:{user.pk}",),
    }


def plain_traits(traits: Traits | None) -> dict[str, list[str]]:
    """Traits as they are stored."""
    return {name: list(values) for name, values in (traits or {}).items()}
