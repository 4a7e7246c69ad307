"""The live state: what an event touches is read anew; an ended session does not come back to life."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import Group, LoginSession, Membership, User
from broker.audit.event import (
    BindingCreated,
    BindingDeleted,
    Event,
    GroupMemberRemoved,
    LockCreated,
    LoginSessionEnded,
    RoleUpdated,
    UserDisabled,
)
from broker.audit.log import record
from broker.audit.origin import system
from broker.live import Live, rows
from broker.models import Binding, Lock, Role, Server
from broker.policy import Attempt, Context, Decision, Denial, Permit, Reason

pytestmark = pytest.mark.django_db

DEV = {
    "kind": "role",
    "metadata": {"name": "dev"},
    "spec": {"allow": {"server_labels": {"env": ["dev"]}, "logins": ["root"]}},
}
DB_1 = {"kind": "server", "metadata": {"name": "db-1", "labels": {"env": "dev"}}, "spec": {"addr": "192.0.2.1:22"}}


def note(*events: Event) -> None:
    with transaction.atomic():
        record(system("test"), *events)


def session_of(user: User, **fields: Any) -> LoginSession:
    now = timezone.now()
    defaults = {
        "token_hash": f"hash-of-{user.username}",
        "created_at": now,
        "last_seen_at": now,
        "expires_at": now + timedelta(hours=8),
        "mfa_at": now,
        "amr": ["pwd", "otp"],
    }
    return LoginSession.objects.create(user=user, **(defaults | fields))


class World:
    """alice, in the group sre, which holds the role dev, which opens db-1 as root."""

    def __init__(self) -> None:
        self.alice = User.objects.create(username="alice")
        self.sre = Group.objects.create(name="sre")
        Membership.objects.create(user=self.alice, group=self.sre)
        self.role = Role.objects.create(name="dev", document=DEV)
        self.binding = Binding.objects.create(role=self.role, group=self.sre)
        self.server = Server.objects.create(name="db-1", document=DB_1)
        self.session = session_of(self.alice)
        self.live = Live()
        self.live.load()

    def decide(self) -> Decision:
        self.live.catch_up()
        login = self.live.peek_login(str(self.session.pk), time.time()) or self.live.fetch_login(str(self.session.pk))
        server = self.live.server_named("db-1")
        assert server
        subject = self.live.subject(login) if login else None
        context = Context(time.time(), "192.0.2.7")
        return self.live.decide(Attempt(subject, "ssh.session", server.resource, context, login="root"))


@pytest.fixture
def world() -> World:
    return World()


def disable(world: World) -> Event:
    User.objects.filter(pk=world.alice.pk).update(disabled_at=timezone.now())
    return UserDisabled(id=str(world.alice.pk), label="alice")


def leave_group(world: World) -> Event:
    Membership.objects.all().delete()
    return GroupMemberRemoved(id=str(world.sre.pk), label="sre", also_touches=(f"user:{world.alice.pk}",))


def unbind(world: World) -> Event:
    ident = str(world.binding.pk)
    world.binding.delete()
    return BindingDeleted(id=ident, label="dev:group:sre")


def narrow_role(world: World) -> Event:
    document = DEV | {"spec": {"allow": {"server_labels": {"env": ["prod"]}, "logins": ["root"]}}}
    Role.objects.filter(pk=world.role.pk).update(document=document)
    return RoleUpdated(id=str(world.role.pk), label="dev")


def damage_role(world: World) -> Event:
    Role.objects.filter(pk=world.role.pk).update(document={"kind": "role", "spec": "?"})
    return RoleUpdated(id=str(world.role.pk), label="dev")


def lock_server(world: World) -> Event:
    lock = Lock.objects.create(target_kind="server", target_id=str(world.server.pk), target_name="db-1", reason="fire")
    return LockCreated(id=str(lock.pk), label="db-1")


def end_session(world: World) -> Event:
    LoginSession.objects.filter(pk=world.session.pk).update(ended_at=timezone.now())
    return LoginSessionEnded(id=str(world.session.pk), label="alice")


@pytest.mark.parametrize(
    ("take_away", "reason"),
    [
        (disable, Reason.USER_DISABLED),
        (leave_group, Reason.NO_ROLE),
        (unbind, Reason.NO_ROLE),
        (narrow_role, Reason.LABELS_DO_NOT_MATCH),
        (damage_role, Reason.NO_ROLE),
        (lock_server, Reason.LOCKED),
        (end_session, Reason.NOT_SIGNED_IN),
    ],
)
def test_what_is_taken_away_is_denied_at_the_next_question(
    world: World, take_away: Callable[[World], Event], reason: Reason
) -> None:
    """S10, S11, R15: whatever the cause, the event alone brings the news."""
    assert isinstance(world.decide(), Permit)
    note(take_away(world))
    answer = world.decide()
    assert isinstance(answer, Denial)
    assert answer.reasons[0] is reason


def test_nothing_is_known_of_a_session_that_ended_while_it_was_fetched(world: World, monkeypatch: Any) -> None:
    """The race that would let an ended session live on: it ends between the query and its being remembered."""
    ident = str(world.session.pk)
    real = rows.logins
    calls: list[int] = []

    def ends_meanwhile(idents: Any) -> Any:
        found = list(real(idents))
        if not calls:
            calls.append(1)
            note(end_session(world))
            world.live.catch_up()
        return iter(found)

    monkeypatch.setattr(rows, "logins", ends_meanwhile)
    login = world.live.fetch_login(ident)
    assert login is not None
    assert login.ended


def test_two_who_fetch_at_once_do_not_hide_the_news_from_each_other(world: World, monkeypatch: Any) -> None:
    """The one who began before the session ended must not keep it, though another began and finished after."""
    ident = str(world.session.pk)
    real = rows.logins
    depth: list[int] = []

    def nested(idents: Any) -> Any:
        found = list(real(idents))
        if not depth:
            depth.append(1)
            note(end_session(world))
            world.live.catch_up()
            world.live.fetch_login(ident)
        return iter(found)

    monkeypatch.setattr(rows, "logins", nested)
    world.live.fetch_login(ident)
    assert world.live.logins[ident].ended


def test_a_token_opens_its_session_until_it_ends(world: World) -> None:
    found = world.live.login_of_token("hash-of-alice", time.time())
    assert found
    assert not found.ended
    note(end_session(world))
    world.live.catch_up()
    found = world.live.login_of_token("hash-of-alice", time.time())
    assert found
    assert found.ended
    assert world.live.login_of_token("hash-of-bob", time.time()) is None


def test_a_binding_counts_until_it_expires(world: World) -> None:
    Binding.objects.filter(pk=world.binding.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    note(BindingCreated(id=str(world.binding.pk), label="dev:group:sre"))
    answer = world.decide()
    assert isinstance(answer, Denial)
    assert Reason.BINDING_EXPIRED in answer.reasons


def test_an_idle_session_is_asked_of_the_database_before_it_is_given_up(world: World) -> None:
    """Another process may have seen its user meanwhile."""
    long_ago = timezone.now() - timedelta(hours=5)
    LoginSession.objects.filter(pk=world.session.pk).update(last_seen_at=long_ago)
    answer = world.decide()
    assert isinstance(answer, Denial)
    assert answer.reasons == (Reason.SESSION_EXPIRED,)
    LoginSession.objects.filter(pk=world.session.pk).update(last_seen_at=timezone.now())
    assert isinstance(world.decide(), Permit)


def test_a_session_used_now_is_written_down_once_a_minute(world: World) -> None:
    world.decide()
    ident, now = str(world.session.pk), time.time()
    assert not world.live.touch_login(ident, now + 30)
    assert world.live.touch_login(ident, now + 90)
    assert not world.live.touch_login(ident, now + 100)


def test_an_empty_installation_allows_nothing() -> None:
    """R01: no role, no binding, no resource."""
    live = Live()
    live.load()
    alice = User.objects.create(username="alice")
    assert not live.grants(str(alice.pk))
