"""Users as lists and pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.utils import timezone

from accounts import sessions
from accounts.models import Identity, Invite, LoginSession, Membership, Passkey, TotpDevice, User
from accounts.names import name_key
from accounts.services.unlinking import SIGNS_IN
from broker.errors import NotFound
from broker.models import Binding

STATES = (
    ("active", "active"),
    ("invited", "invited"),
    ("pending", "no way in yet"),
    ("no-mfa", "no second factor"),
    ("disabled", "disabled"),
)
COLUMNS = {"name": "username_key", "created": "created_at", "seen": "last_seen"}
UNUSABLE = "!"  # how Django marks a password that no one can give
NO_PASSWORD = Q(password="") | Q(password__startswith=UNUSABLE)
_NO_WAY_IN = NO_PASSWORD & Q(is_known_elsewhere=False)


def users(text: str = "", state: str = "", group: str = "") -> QuerySet[User]:
    """The users that match, each with `state_of`'s marks, their groups and when they were last seen."""
    rows = _marked(User.objects.all())
    if text:
        rows = rows.filter(
            Q(username_key__contains=name_key(text)) | Q(full_name__icontains=text) | Q(email__icontains=text)
        )
    if group:
        rows = rows.filter(pk__in=Membership.objects.filter(group__name_key=name_key(group)).values("user"))
    return rows.filter(_in_state(state)) if state else rows


def user_named(name: str) -> User:
    """One user with the same marks. Raises NotFound."""
    user = _marked(User.objects.all()).filter(username_key=name_key(name)).first()
    if user is None:
        raise NotFound(f"there is no user {name[:64]!r}", "look for them in the list of users")
    return user


def state_of(user: Any) -> str:
    """One word for a user that `users()` found; the words are those of STATES."""
    if user.disabled_at:
        return "disabled"
    if user.kind == User.Kind.MACHINE:
        return "active"
    if not user.is_known_elsewhere and (not user.password or not user.has_usable_password()):
        return "invited" if user.is_invited else "pending"
    return "active" if user.has_factor else "no-mfa"


def _marked(rows: QuerySet[User]) -> QuerySet[User]:
    now = timezone.now()
    mine = OuterRef("pk")
    live = sessions.live(now).filter(user=mine).order_by().values("user").annotate(n=Count("pk")).values("n")
    seen = LoginSession.objects.filter(user=mine).order_by("-last_seen_at").values("last_seen_at")[:1]
    groups = Membership.objects.select_related("group").order_by("group__name_key", "source")
    return rows.annotate(
        has_factor=Exists(TotpDevice.objects.filter(user=mine, confirmed=True))
        | Exists(Passkey.objects.filter(user=mine, confirmed=True)),
        is_known_elsewhere=Exists(
            Identity.objects.filter(user=mine, connector__enabled=True, connector__kind__in=SIGNS_IN)
        ),
        is_invited=Exists(Invite.objects.filter(user=mine, used_at=None, expires_at__gt=now)),
        last_seen=Subquery(seen),
        live_sessions=Subquery(live),
    ).prefetch_related(Prefetch("memberships", groups))


def _in_state(state: str) -> Q:
    person = Q(disabled_at=None, kind=User.Kind.PERSON)
    match state:
        case "disabled":
            return Q(disabled_at__isnull=False)
        case "invited":
            return person & _NO_WAY_IN & Q(is_invited=True)
        case "pending":
            return person & _NO_WAY_IN & Q(is_invited=False)
        case "no-mfa":
            return person & ~_NO_WAY_IN & Q(has_factor=False)
        case "active":
            machine = Q(disabled_at=None, kind=User.Kind.MACHINE)
            return machine | (person & ~_NO_WAY_IN & Q(has_factor=True))
    return Q()


@dataclass(frozen=True, slots=True)
class Held:
    """A role somebody has: `via` is empty when it is their own, else the group that brings it."""

    binding: str
    role: str
    via: str
    expires_at: datetime | None
    reason: str
    over: bool


def roles_held(user: User) -> list[Held]:
    """The roles of a user, their own first; those whose time is over are marked."""
    groups = {membership.group_id for membership in user.memberships.all()}
    rows = Binding.objects.filter(Q(user=user) | Q(group__in=groups)).select_related("role", "user", "group")
    now = timezone.now()
    held = [
        Held(
            binding=row.name,
            role=row.role.name,
            via=row.group.name if row.group else "",
            expires_at=row.expires_at,
            reason=row.reason,
            over=bool(row.expires_at and row.expires_at <= now),
        )
        for row in rows
    ]
    return sorted(held, key=lambda one: (one.via, one.role))
