"""Delegated administration: whoever may change some things must not use that to raise their own rights.

A full administrator may do everything they are allowed to, for themselves too. Whoever holds less may neither make a
change after which they themselves may do more, nor hand out an administrative action they do not have, nor act for
somebody who holds one: a change to oneself is a second person's to make.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from accounts.models import User
from broker import live as live_state
from broker.audit.origin import Origin
from broker.documents import RoleSpec, Rules
from broker.errors import Denied
from broker.live import Live
from broker.policy import Attempt, Context, Denial, Grant, Reason, Resource, Subject
from broker.policy.attempt import SSH_SESSION
from broker.policy.grant import actions_of
from broker.services.administrators import NEEDED
from broker.services.decisions import record_denial

HINT = "another administrator has to make this change"


class OwnRights:
    """What the acting subject may do before a change, to hold against what they may do after."""

    def __init__(self, subject: Subject | None) -> None:
        self._subject = subject
        self._before = live_state.current()
        self._actions = administrative_actions(self._before).get(subject.id, frozenset()) if subject else frozenset()

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
        if any(role not in later and role[0].deny != Rules() for role in before):
            return "it would take away what denies you something"
        old, new = self._before.users.get(subject.id), after.users.get(subject.id)
        if old and new and old.traits != new.traits:
            return "it would change your own traits"
        opened = set(_opened(after, subject, self._before)) - set(_opened(self._before, subject, after))
        return f"it would open {sorted(opened)[0]} to you" if opened else ""

    def _others_raise(self, after: Live) -> str:
        had, have = administrative_actions(self._before), administrative_actions(after)
        for user_id, actions in have.items():
            gained = actions - had.get(user_id, frozenset()) - self._actions
            if gained:
                return f"it would give {after.users[user_id].name} {sorted(gained)[0]}, which you do not have"
        return ""


def may_act_for(origin: Origin, subject: Subject | None, user: User) -> None:
    """Refuse to make a way in for somebody who may administer what the subject may not. Raises Denied."""
    live = live_state.current()
    actions = administrative_actions(live)
    held = actions.get(subject.id, frozenset()) if subject else frozenset()
    beyond = actions.get(str(user.pk), frozenset()) - held
    if beyond and not held >= NEEDED:
        why = f"{user.username} may {sorted(beyond)[0]}, you may not"
        raise refusal(origin, subject, "user.update", user.username, why)


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


def administrative_actions(live: Live) -> dict[str, frozenset[str]]:
    """By user id, every administrative action some role allows them, whatever its conditions."""
    of_role = {ident: actions_of(spec.allow.rules) for ident, spec in live.roles.items() if spec.allow.rules}
    of_holder: dict[str, frozenset[str]] = {}
    for binding in live.bindings.values():
        actions = of_role.get(binding.role_id)
        if actions:
            holder = binding.user_id or binding.group_id
            of_holder[holder] = of_holder.get(holder, frozenset()) | actions
    found = {}
    for user in live.users.values():
        held = [of_holder[holder] for holder in (user.id, *user.groups) if holder in of_holder]
        if held:
            found[user.id] = frozenset().union(*held)
    return found


def _opened(live: Live, subject: Subject, other: Live) -> Iterator[str]:
    """What the subject's roles open among the resources that differ between the two states."""
    at = time.time()
    grants = live.grants(subject.id)
    for app in live.apps.values():
        known = other.apps.get(app.id)
        if known is not app and any(grant.allow.apps.matches(app.resource.labels) for grant in grants):
            yield f"app {app.name}"
    for server in live.servers.values():
        if other.servers.get(server.id) is server:
            continue
        for login in logins_of(grants):
            attempt = Attempt(subject, SSH_SESSION, server.resource, Context(at), login=login)
            if live.decide(attempt).permitted:
                yield f"{login}@{server.name}"


def logins_of(grants: Iterable[Grant]) -> list[str]:
    """The logins that roles name, sorted: the only ones worth asking about."""
    return sorted({login for grant in grants for login in grant.allow.logins})
