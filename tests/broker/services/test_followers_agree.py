"""A state that followed the feed is the state a fresh load would give, whatever services did meanwhile."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import LoginSession, User
from accounts.services import login_sessions
from accounts.services.factor_resets import approve
from accounts.services.users import set_groups, user_named
from broker import live as live_state
from broker.audit.origin import system
from broker.errors import PosternError
from broker.live import Live
from broker.models import AccessSession, Binding, Lock
from broker.policy import Attempt, Context
from broker.services import factor_resets, locks, users
from broker.services.app_sessions import end as end_app_session
from broker.services.app_sessions import issue_app_token
from broker.services.documents import delete_document
from tests.broker.cast import ADDRESS, Cast, change, signed_in

PEOPLE = ("alice", "bob", "charlie", "dora")
GROUPS = ("ops", "oncall", "lab")
ROLES = ("engineer", "reader", "keeper")
SERVERS = ("db-1", "db-2", "canary-prod")
APPS = ("grafana", "wiki")
LABELS = ("{env: dev}", "{env: prod, name: db-1}", "{}")
TIMES = ("'2020-01-01T00:00:00Z'", "'2090-01-01T00:00:00Z'")
SECONDS = 15.0
ORIGIN = system("test")


class Steps:
    """What can happen, at random."""

    def __init__(self, cast: Cast, chance: random.Random) -> None:
        self.cast, self.chance = cast, chance
        self.any = chance.choice

    def all(self) -> list[Callable[[], Any]]:
        return [getattr(self, name) for name in sorted(dir(self)) if name.startswith("step_")]

    def step_write_user(self) -> None:
        groups, team = self.chance.sample(GROUPS, self.chance.randrange(3)), self.any(("db", "web"))
        change(
            f"{{kind: user, metadata: {{name: {self.any(PEOPLE)}}}, spec: {{groups: [{', '.join(groups)}],"
            f" traits: {{team: [{team}]}}, email: {team}@example.com}}}}"
        )

    def step_write_role(self) -> None:
        side = self.any(("allow", "deny"))
        change(
            f"{{kind: role, metadata: {{name: {self.any(ROLES)}}}, spec: {{{side}: {{server_labels: {{env: [dev,"
            f" '{{{{external.team}}}}']}}, logins: [{self.any(('root', 'read'))}], app_labels: {{env: dev}}}}}}}}"
        )

    def step_write_binding(self) -> None:
        whom = self.any([f"user: {name}" for name in PEOPLE] + [f"group: {name}" for name in GROUPS])
        until = self.any(("", *(f", expires: {at}" for at in TIMES)))
        change(f"{{kind: role_binding, spec: {{role: {self.any(ROLES)}, {whom}{until}}}}}")

    def step_write_resources(self) -> None:
        number = self.chance.randrange(1, 250)
        change(
            f"{{kind: server, metadata: {{name: {self.any(SERVERS)}, labels: {self.any(LABELS)}}},"
            f" spec: {{addr: '192.0.2.{number}:22'}}}}\n---\n"
            f"{{kind: app, metadata: {{name: {self.any(APPS)}, labels: {self.any(LABELS)}}}, spec: {{uri:"
            f" 'http://192.0.2.{number}', public_addr: {self.any(('one', 'two', 'three'))}.example.com}}}}"
        )

    def step_write_group(self) -> None:
        change(f"{{kind: group, metadata: {{name: {self.any(GROUPS)}, description: '{self.chance.random()}'}}}}")

    def step_delete(self) -> None:
        names = {"user": PEOPLE, "group": GROUPS, "role": ROLES, "server": SERVERS, "app": APPS}
        kind = self.any(sorted(names))
        adam = self.cast.adam
        delete_document(adam.origin, adam.subject, kind, self.any(names[kind]), dry_run=self.chance.random() < 0.3)

    def step_delete_binding(self) -> None:
        binding = Binding.objects.exclude(user__username="adam").order_by("?").first()
        if binding:
            delete_document(self.cast.adam.origin, self.cast.adam.subject, "role_binding", binding.name)

    def step_lock(self) -> None:
        kind, names = self.any(
            (("user", PEOPLE), ("group", GROUPS), ("role", ROLES), ("server", SERVERS), ("login", ("root", "read")))
        )
        adam = self.cast.adam
        again = self.chance.random() < 0.3
        ttl = self.any((None, 3600.0))
        locks.create_lock(adam.origin, adam.subject, kind, self.any(names), ttl=ttl, reason="test", dry_run=again)

    def step_lift(self) -> None:
        lock = Lock.objects.filter(lifted_at=None).order_by("?").first()
        if lock:
            locks.lift_lock(self.cast.adam.origin, self.cast.adam.subject, lock.pk)

    def step_disable(self) -> None:
        users.disable_user(self.cast.adam.origin, self.cast.adam.subject, self.any(PEOPLE))

    def step_enable(self) -> None:
        users.enable_user(self.cast.adam.origin, self.cast.adam.subject, self.any(PEOPLE))

    def step_reset(self) -> None:
        name = self.any(PEOPLE)
        factor_resets.reset_mfa(self.cast.adam.origin, self.cast.adam.subject, name)
        approve(system("tests"), user_named(name))

    def step_sign_in(self) -> None:
        user = User.objects.by_name(self.any(PEOPLE))
        if user:
            signed_in(user)

    def step_end_session(self) -> None:
        session = LoginSession.objects.filter(ended_at=None).exclude(user__username="adam").order_by("?").first()
        if session:
            login_sessions.end_login_session(ORIGIN, session, "revoked")

    def step_confirm(self) -> None:
        session = LoginSession.objects.filter(ended_at=None).order_by("?").first()
        if session:
            login_sessions.confirm_login_session(ORIGIN, session, ["otp"])

    def step_everywhere(self) -> None:
        user = User.objects.by_name(self.any(PEOPLE))
        if user:
            login_sessions.sign_out_everywhere(ORIGIN, user)

    def step_run_out(self) -> None:
        session = LoginSession.objects.filter(ended_at=None).exclude(user__username="adam").order_by("?").first()
        if session:
            LoginSession.objects.filter(pk=session.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
            login_sessions.expire_sessions()

    def step_directory_groups(self) -> None:
        user = User.objects.by_name(self.any(PEOPLE))
        if user:
            set_groups(ORIGIN, user, self.chance.sample(GROUPS, self.chance.randrange(3)), source="ldap")

    def step_open_app(self) -> None:
        session = LoginSession.objects.filter(ended_at=None).select_related("user").order_by("?").first()
        if session:
            issue_app_token(ORIGIN, session, self.any(APPS))

    def step_end_app(self) -> None:
        access = AccessSession.objects.filter(ended_at=None, protocol="app").order_by("?").first()
        if access:
            end_app_session(ORIGIN, access)


def use_everything(live: Live) -> None:
    """Fill what is computed and kept: subjects, grants, sessions."""
    for session in LoginSession.objects.all():
        login = live.peek_login(str(session.pk), time.time()) or live.fetch_login(str(session.pk))
        if login:
            live.subject(login)
            live.grants(login.user_id)
    for access in AccessSession.objects.exclude(token_hash=None):
        if not live.peek_access(access.token_hash or ""):
            live.fetch_access(access.token_hash or "")


def state_of(live: Live) -> dict[str, Any]:
    """All that decisions could depend on."""
    return {
        "users": {ident: asdict(user) for ident, user in live.users.items()},
        "roles": live.roles,
        "broken": live.broken,
        "bindings": live.bindings,
        "apps": live.apps,
        "hosts": {host: app.id for host, app in live.app_by_host.items()},
        "servers": live.servers,
        "locks": {(lock.id, lock.target, lock.name, lock.expires_at) for lock in live.locks},
    }


def answers_of(live: Live) -> dict[str, object]:
    """What everybody may do now, under every session there ever was."""
    context = Context(time.time(), ADDRESS)
    found: dict[str, object] = {}
    for session in LoginSession.objects.all():
        login = live.peek_login(str(session.pk), time.time()) or live.fetch_login(str(session.pk))
        subject = live.subject(login) if login else None
        found[str(session.pk)] = (login and login.ended, subject)
        for server in live.servers.values():
            for name in ("root", "read"):
                attempt = Attempt(subject, "ssh.session", server.resource, context, login=name)
                found[f"{session.pk} {name}@{server.name}"] = live.decide(attempt).permitted
        for app in live.apps.values():
            attempt = Attempt(subject, "app.request", app.resource, context, method="GET", path="/")
            found[f"{session.pk} {app.name}"] = live.decide(attempt).permitted
    for access in AccessSession.objects.exclude(token_hash=None):
        kept = live.peek_access(access.token_hash or "") or live.fetch_access(access.token_hash or "")
        found[f"access {access.pk}"] = kept
    return found


@pytest.mark.timeout(120)
def test_a_state_that_followed_the_feed_is_the_one_that_is_stored(cast: Cast) -> None:
    """Every change that matters says what followers must read anew, deletions and what goes with them included."""
    seed = random.SystemRandom().randrange(2**32)
    steps = Steps(cast, random.Random(seed))
    live_state.forget()
    following = Live()
    following.load()
    done, end = [], time.monotonic() + SECONDS
    while time.monotonic() < end:
        use_everything(following)
        step = steps.any(steps.all())
        with contextlib.suppress(PosternError):
            step()
        live_state.current()
        done.append(step.__name__)
        following.catch_up()
        fresh = Live()
        fresh.load()
        story = f"seed {seed}: {' '.join(done[-5:])}"
        assert state_of(following) == state_of(fresh), story
        assert state_of(live_state.known()) == state_of(fresh), story
        assert answers_of(following) == answers_of(fresh), story
    assert len(set(done)) == len(steps.all()), "too slow to have tried everything"
