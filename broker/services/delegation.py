"""Delegated administration: whoever may change some things must not use that to raise their own rights.

A full administrator may do everything they are allowed to, for themselves too. Whoever holds less may neither make a
change after which they themselves may do more, nor hand out an administrative action they do not have, nor act for
somebody who holds one: a change to oneself is a second person's to make.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from accounts.models import User
from broker import live as live_state
from broker.audit.origin import Origin
from broker.documents import RoleSpec, Rules
from broker.errors import Denied
from broker.live import Live
from broker.policy import Attempt, Context, Denial, Grant, Reason, Resource, Subject
from broker.policy.attempt import ADMIN_ACTIONS
from broker.policy.grant import actions_of
from broker.policy.pattern import Selector
from broker.policy.role import Options
from broker.policy.terms import Terms, strictest
from broker.services.administrators import NEEDED
from broker.services.decisions import record_denial

HINT = "another administrator has to make this change"


class OwnRights:
    """What the acting subject may do before a change, to hold against what they may do after."""

    def __init__(self, origin: Origin, subject: Subject | None) -> None:
        self._subject = subject
        self._before = live_state.current()
        self._actions = actions_now(self._before, origin, subject)

    def raised_by_change(self) -> str:
        """What the transaction's uncommitted changes give beyond what the subject may hand out; empty if nothing."""
        if self._subject is None or self._actions >= NEEDED:
            return ""
        after = self._before.fork()
        after.catch_up()
        return self._own_raise(after, self._subject) or self._others_raise(after)

    def _own_raise(self, after: Live, subject: Subject) -> str:
        before, later = roles_held(self._before, subject.id), roles_held(after, subject.id)
        if any(role not in before for role in later):
            return "it would change or give a role that is yours"
        if any(role not in later and _limits_holder(role[0]) for role in before):
            return "it would take away what denies you something"
        old, new = self._before.users.get(subject.id), after.users.get(subject.id)
        if old and new and (old.traits, old.groups, old.email) != (new.traits, new.groups, new.email):
            return "it would change your own traits, groups or e-mail address"
        return opened_by_edit(self._before, after, subject.id)

    def _others_raise(self, after: Live) -> str:
        at = time.time()
        had, have = administration(self._before, at), administration(after, at)
        for user_id, held in have.items():
            gained = held.beyond(had.get(user_id, NOTHING)) - self._actions
            if gained:
                return f"it would give {after.users[user_id].name} {sorted(gained)[0]}, which you do not have"
        return ""


def _limits_holder(role: RoleSpec) -> bool:
    """Whether who holds a role could gain by losing it: it denies something, or its terms are heard with others'."""
    return role.deny != Rules() or role.options != Options()


def may_act_for(origin: Origin, subject: Subject | None, user: User) -> None:
    """Refuse to make a way in for somebody who may administer what the subject may not. Raises Denied."""
    live = live_state.current()
    held = actions_now(live, origin, subject)
    beyond = administration(live, time.time()).get(str(user.pk), NOTHING).actions - held
    if beyond and not held >= NEEDED:
        why = f"{user.username} may {sorted(beyond)[0]}, you may not"
        raise refusal(origin, subject, "user.update", user.username, why)


def only_full_administrators(origin: Origin, subject: Subject | None, action: str, name: str) -> None:
    """Refuse whoever holds less to change where identities come from: a mapping can put anybody into any group.

    Raises Denied. Call it outside the transaction of the change.
    """
    if subject is None or actions_now(live_state.current(), origin, subject) >= NEEDED:
        return
    raise refusal(origin, subject, action, name, "who comes in and into which groups is a full administrator's to say")


def refusal(origin: Origin, subject: Subject | None, action: str, name: str, why: str) -> Denied:
    """The failure to raise, put on record. Call it outside the transaction that is undone."""
    denial = Denial((Reason.ACTION_NOT_ALLOWED,), detail=why)
    resource = Resource(action.partition(".")[0], "", name)
    record_denial(origin, Attempt(subject, action, resource, Context(time.time(), origin.address)), denial)
    return Denied(denial, f"this would raise rights beyond your own: {why}", HINT)


def roles_held(live: Live, user_id: str) -> list[tuple[RoleSpec, float | None]]:
    """The roles of a user and until when each is held."""
    user = live.users.get(user_id)
    holders = {user_id, *(user.groups if user else ())}
    return [
        (live.roles[binding.role_id], binding.until)
        for binding in live.bindings.values()
        if (binding.user_id or binding.group_id) in holders and binding.role_id in live.roles
    ]


def actions_now(live: Live, origin: Origin, subject: Subject | None) -> frozenset[str]:
    """The administrative actions that a subject really may do at this moment: denials, ends and conditions count."""
    context = Context(time.time(), origin.address)
    return frozenset(
        action
        for action in ADMIN_ACTIONS
        if live.decide(Attempt(subject, action, Resource(action.partition(".")[0], "", ""), context)).permitted
    )


Rule = tuple[str, tuple[str, ...], Options, float | None]
"""An action, and under which conditions, on which terms and until when a role allows or denies it."""


@dataclass(frozen=True, slots=True)
class Administration:
    """What roles allow and deny somebody of administration."""

    allowed: frozenset[Rule]
    denied: frozenset[Rule]

    @property
    def actions(self) -> frozenset[str]:
        """The actions some role allows, whatever its conditions and whatever else denies them."""
        return frozenset(rule[0] for rule in self.allowed)

    def beyond(self, before: Administration) -> frozenset[str]:
        """The actions that are allowed in a new way, or no longer denied as they were."""
        undenied = frozenset(rule[0] for rule in before.denied - self.denied)
        return frozenset(rule[0] for rule in self.allowed - before.allowed) | undenied & self.actions


NOTHING = Administration(frozenset(), frozenset())


def administration(live: Live, at: float) -> dict[str, Administration]:
    """By user id, for everybody to whom some role allows administrative actions at that time."""
    allowed: dict[str, set[Rule]] = {}
    denied: dict[str, set[Rule]] = {}
    for binding in live.bindings.values():
        spec = live.roles.get(binding.role_id)
        if spec is None or (binding.until is not None and binding.until <= at):
            continue
        holder = binding.user_id or binding.group_id
        for side, found, options in ((spec.allow, allowed, spec.options), (spec.deny, denied, Options())):
            bare = found is denied and side != Rules() and replace(side, conditions=()) == Rules()
            for action in ADMIN_ACTIONS if bare else actions_of(side.rules):
                found.setdefault(holder, set()).add((action, side.conditions, options, binding.until))
    people = {}
    for user in live.users.values():
        holders = (user.id, *user.groups)
        if any(holder in allowed for holder in holders):
            people[user.id] = Administration(
                frozenset(rule for holder in holders for rule in allowed.get(holder, ())),
                frozenset(rule for holder in holders for rule in denied.get(holder, ())),
            )
    return people


def opened_by_edit(before: Live, after: Live, user_id: str) -> str:
    """What the edited apps and servers open to a user that they did not open before; empty if nothing.

    Held against labels, not decided: what a condition or an old second factor forbids at this moment, it may not in an
    hour.
    """
    had, have = before.grants(user_id), after.grants(user_id)
    for app in sorted(after.apps.values(), key=lambda app: app.name):
        old = before.apps.get(app.id)
        if old is app:
            continue
        if not set(app.spec.public_paths) <= set(old.spec.public_paths if old else ()):
            return f"it would open paths of app {app.name} to everybody"
        mine = _reach(have, "apps", app.resource)
        behind = old is not None and (old.spec.uri, old.spec.host) != (app.spec.uri, app.spec.host)
        if mine.opening and (behind or mine.is_beyond(_reach(had, "apps", old.resource) if old else None)):
            return f"it would open app {app.name} to you"
    for server in sorted(after.servers.values(), key=lambda server: server.name):
        known = before.servers.get(server.id)
        opening = [grant for grant in have if grant.allow.servers.matches(server.resource.labels)]
        logins = sorted({login for grant in opening for login in grant.allow.logins})
        if known is server or not logins:
            continue
        mine = _reach(have, "servers", server.resource)
        if mine.is_beyond(_reach(had, "servers", known.resource) if known else None):
            return f"it would open {logins[0]}@{server.name} to you"
    return ""


@dataclass(frozen=True, slots=True)
class _Reach:
    """The grants that open a resource by its labels, those that deny it by them, what else reads them, its demands."""

    opening: frozenset[tuple[str, str]]
    denying: frozenset[tuple[str, str]]
    read: tuple[tuple[str, str], ...]
    terms: Terms

    def is_beyond(self, before: _Reach | None) -> bool:
        if before is None:
            return True
        if strictest((self.terms, before.terms)) != self.terms:
            return True  # it demanded something of the second factor that it no longer does
        return not (self.opening <= before.opening and before.denying <= self.denying and self.read == before.read)


def _reach(grants: Iterable[Grant], kind: Literal["apps", "servers"], resource: Resource) -> _Reach:
    opening, denying, reads = set(), set(), False
    for grant in grants:
        name = (grant.role, grant.via)
        allow: Selector = getattr(grant.allow, kind)
        if allow.matches(resource.labels):
            opening.add(name)
        if grant.deny is not None and getattr(grant.deny, kind).matches(resource.labels):
            denying.add(name)
        conditions = (*grant.allow.conditions, *(grant.deny.conditions if grant.deny else ()))
        reads = reads or any("resource" in condition.source for condition in conditions)
    read = tuple(sorted(resource.labels.items())) if reads else ()
    return _Reach(frozenset(opening), frozenset(denying), read, resource.terms or Terms())
