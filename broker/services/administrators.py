"""Who can still mend things: no change may leave an installation without an administrator.

An administrator here is an active person who may change roles and give them out, at any hour and for good: a role that
holds only at some hours, or a binding that ends, would lock everybody out at three in the morning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from django.db.models import Q
from django.utils import timezone

from accounts.models import Membership, User
from broker.documents import RoleSpec, parse_mapping
from broker.errors import Conflict, Invalid
from broker.models import Binding, Lock, Role
from broker.policy.grant import actions_of

NEEDED = frozenset({"role.update", "binding.create", "user.update", "lock.delete"})


@dataclass(frozen=True, slots=True)
class Administrators:
    """Names of the administrators, and of those among them who have signed up and can come in now."""

    all: frozenset[str]
    able: frozenset[str]


def administrators() -> Administrators:
    """The administrators there are, as the database says now (uncommitted changes of this transaction included)."""
    allowing, denying = _roles()
    locked = _locked()
    giving = [name for name in allowing if ("role", name) not in locked]
    held = _holders(giving)
    denied = _holders(list(denying)) if denying else set()
    users = User.objects.filter(pk__in=held - denied, disabled_at=None, kind=User.Kind.PERSON)
    free = [user for user in users if ("user", user.username) not in locked and not _in_locked_group(user, locked)]
    able = [user for user in free if user.password and user.has_usable_password()]
    return Administrators(frozenset(user.username for user in free), frozenset(user.username for user in able))


@contextmanager
def one_must_remain() -> Iterator[None]:
    """Around a change, in its transaction: raises Conflict, which undoes it, if it leaves nobody to administer."""
    before = administrators()
    yield
    after = administrators()
    if (before.all and not after.all) or (before.able and not after.able):
        lost = sorted((before.able or before.all) - after.able)
        raise Conflict(
            f"this would leave nobody who can administer Postern: {', '.join(lost)} is the last",
            "first give another person the role administrator for good, and let them sign in",
        )


def _roles() -> tuple[set[str], set[str]]:
    """The names of roles that make an administrator, and of roles that forbid it."""
    allowing, denying = set(), set()
    for name, document in Role.objects.values_list("name", "document"):
        if not _speaks_of_administration(document):
            continue
        try:
            spec = cast(RoleSpec, parse_mapping("role", document))
        except Invalid:
            continue
        if not spec.allow.conditions and actions_of(spec.allow.rules) >= NEEDED:
            allowing.add(name)
        if actions_of(spec.deny.rules) & NEEDED:
            denying.add(name)
    return allowing, denying


def _speaks_of_administration(document: Mapping[str, Any]) -> bool:
    spec = document.get("spec") if isinstance(document, Mapping) else None
    sides = [spec.get(side) for side in ("allow", "deny")] if isinstance(spec, Mapping) else []
    return any(isinstance(side, Mapping) and side.get("rules") for side in sides)


def _holders(roles: list[str]) -> set[Any]:
    """The ids of users who hold one of these roles for good, themselves or through a group."""
    bindings = Binding.objects.filter(role__name__in=roles, expires_at=None)
    found = set(bindings.exclude(user=None).values_list("user_id", flat=True))
    groups = bindings.exclude(group=None).values("group_id")
    return found | set(Membership.objects.filter(group__in=groups).values_list("user_id", flat=True))


def _locked() -> set[tuple[str, str]]:
    standing = Lock.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), lifted_at=None)
    return set(standing.values_list("target_kind", "target_name"))


def _in_locked_group(user: User, locked: set[tuple[str, str]]) -> bool:
    groups = {name for kind, name in locked if kind == "group"}
    return bool(groups) and Membership.objects.filter(user=user, group__name__in=groups).exists()
