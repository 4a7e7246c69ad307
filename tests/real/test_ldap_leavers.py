"""Who leaves the directory, or a group in it: read anew, told at once by syncrepl, cut, and let in again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.directory.entry import Down
from accounts.directory.known import directory_of
from accounts.models import Connector, Identity, LoginSession, SignIn, User
from accounts.services import users
from broker.directory_process import DirectoryProcess
from broker.models import AccessSession, AuditEvent
from broker.services import directory as service
from broker.services.directory import Result, reread, reread_all
from broker.tokens import digest, new_token
from tests.real.ldap_world import TESTS, _nothing_remembered, connect, groups, identity, slapd, type_in, user
from tests.real.slapd import GROUPS, PEOPLE, Slapd, group, password_of, person

__all__ = ["_nothing_remembered", "slapd"]
pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]

AT_ONCE = 5.0
"""Seconds; it takes milliseconds, this is for a busy machine."""


def comes_in(name: str) -> LoginSession:
    """Somebody of the directory with a live login session."""
    assert type_in(name, password_of(name)).status == 302
    now = timezone.now()
    return LoginSession.objects.create(
        user=user(name),
        token_hash=digest(new_token("")),
        via="ldap:corp",
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(hours=1),
    )


def is_over(session: LoginSession) -> bool:
    session.refresh_from_db()
    return session.ended_at is not None


def until(condition: Callable[[], bool], words: str, within: float = AT_ONCE) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, words
        time.sleep(0.02)


@pytest.fixture
def own() -> Iterator[Slapd]:
    """A directory that this test may change and end."""
    with Slapd() as server:
        yield server


# --- reading one person anew ------------------------------------------------------------------------------------------


def test_a_deleted_person_is_out(own: Slapd) -> None:
    connect(own)
    session = comes_in("bob")
    own.delete(f"uid=bob,{PEOPLE}")
    assert reread(TESTS, identity("bob")) is Result.OUT
    bob = user("bob")
    assert (bob.is_active, bob.disabled_by, bob.disabled_reason) == (False, "ldap:corp", service.GONE)
    assert is_over(session)
    assert reread(TESTS, identity("bob")) is Result.NOTHING


def test_a_disabled_person_is_out_and_in_again_when_enabled(own: Slapd) -> None:
    connect(own)
    session = comes_in("bob")
    own.lock("bob")
    assert reread(TESTS, identity("bob")) is Result.OUT
    assert is_over(session)
    assert reread_all(TESTS) == 0
    own.unlock("bob")
    assert reread_all(TESTS) == 1, "who was put out is read as well"
    assert user("bob").is_active
    assert is_over(session), "what was cut stays cut"


def test_somebody_who_no_longer_is_among_the_users_is_out(own: Slapd) -> None:
    """The user filter says who may come; a move out of the base is leaving too."""
    of_staff = "(&(objectClass=inetOrgPerson)(employeeType=staff)(uid={name}))"
    own.modify(f"dn: uid=bob,{PEOPLE}", "changetype: modify", "add: employeeType", "employeeType: staff")
    connect(own, user_search={"base": PEOPLE, "filter": of_staff})
    comes_in("bob")
    own.modify(f"dn: uid=bob,{PEOPLE}", "changetype: modify", "replace: employeeType", "employeeType: guest")
    assert reread(TESTS, identity("bob")) is Result.OUT


def test_whom_an_administrator_disabled_no_directory_lets_in(own: Slapd) -> None:
    connect(own)
    comes_in("bob")
    users.disable_user(TESTS, user("bob"), "on leave")
    assert reread(TESTS, identity("bob")) is Result.NOTHING
    own.lock("bob")
    reread(TESTS, identity("bob"))
    own.unlock("bob")
    reread(TESTS, identity("bob"))
    assert not user("bob").is_active
    assert user("bob").disabled_by == ""


def test_groups_and_traits_are_brought_up_to_date(own: Slapd) -> None:
    connect(own)
    comes_in("alice")
    assert groups("alice") == {"sre", "staff"}
    own.modify(f"dn: cn=staff,{GROUPS}", "changetype: modify", "delete: member", f"member: cn=sre,{GROUPS}")
    own.modify(f"dn: uid=alice,{PEOPLE}", "changetype: modify", "replace: mail", "mail: alice@new.example.com")
    assert reread(TESTS, identity("alice")) is Result.CHANGED
    assert groups("alice") == {"sre"}
    assert identity("alice").traits == {"mail": ["alice@new.example.com"]}
    assert reread(TESTS, identity("alice")) is Result.NOTHING


def test_groups_that_others_gave_stay(own: Slapd) -> None:
    connect(own)
    comes_in("bob")
    users.set_groups(TESTS, user("bob"), ["locals"])
    own.leave_group("staff", "bob")
    reread(TESTS, identity("bob"))
    assert groups("bob") == {"auditors", "locals"}


def test_a_directory_that_does_not_answer_changes_nothing(own: Slapd) -> None:
    """L28: an outage throws nobody out, and the connector says so."""
    corp = connect(own)
    session = comes_in("bob")
    own.stop()
    with pytest.raises(Down):
        reread(TESTS, identity("bob"))
    assert reread_all(TESTS) == 0
    assert not is_over(session)
    assert groups("bob") == {"auditors", "staff"}
    corp.refresh_from_db()
    assert corp.problem
    own.go_on()


def test_a_base_that_cannot_be_read_any_more_throws_nobody_out(own: Slapd) -> None:
    """An emptied base looks like everybody having left, a lost right like an empty base; the latter is a problem."""
    corp = connect(own)
    session = comes_in("bob")
    spec = {**corp.document["spec"], "user_search": {"base": "ou=x"}}
    Connector.objects.update(document={**corp.document, "spec": spec})
    assert reread_all(TESTS) == 0
    assert not is_over(session)
    corp.refresh_from_db()
    assert "is not there" in corp.problem


def test_a_slow_reader_does_not_undo_what_a_faster_one_saw(own: Slapd) -> None:
    """What was read before a removal is not written after it."""
    corp = connect(own)
    comes_in("bob")
    directory = directory_of(corp)
    slow, fast_is_through = threading.Event(), threading.Event()
    first = [True]
    groups_of = directory.groups_of

    def lingering(entry: object) -> tuple[str, ...]:
        found = groups_of(entry)  # type: ignore[arg-type]
        if first and first.pop():
            slow.set()
            assert fast_is_through.wait(10)
        return found

    directory.groups_of = lingering  # type: ignore[method-assign]

    def read() -> None:
        try:
            reread(TESTS, identity("bob"))
        finally:
            connection.close()

    thread = threading.Thread(target=read)
    thread.start()
    assert slow.wait(10)
    own.leave_group("staff", "bob")
    assert reread(TESTS, identity("bob")) is Result.CHANGED
    fast_is_through.set()
    thread.join(10)
    assert groups("bob") == {"auditors"}


def with_something_open(connector: Connector) -> list[str]:
    return [row.user.username for row in service.people_with_something_open(connector)]


def test_only_people_with_something_open_are_read(own: Slapd) -> None:
    corp = connect(own)
    session = comes_in("bob")
    type_in("alice", password_of("alice"))
    assert sorted(with_something_open(corp)) == ["alice", "bob"], "who is signing in may be in a moment later"
    SignIn.objects.all().delete()
    assert with_something_open(corp) == ["bob"]
    LoginSession.objects.filter(pk=session.pk).update(expires_at=timezone.now())
    assert with_something_open(corp) == []
    now = timezone.now()
    AccessSession.objects.create(
        protocol="ssh",
        credential="certificate",
        login_session_id=session.pk,
        user_id=user("alice").pk,
        user_name="alice",
        resource_id=session.pk,
        resource_name="db-1",
        started_at=now,
        last_used_at=now,
        expires_at=now + timedelta(minutes=5),
    )
    assert with_something_open(corp) == ["alice"], "a certificate is something open"


def test_a_damaged_connector_is_a_problem_of_its_own(own: Slapd) -> None:
    corp = connect(own)
    session = comes_in("bob")
    Connector.objects.update(document={"kind": "ldap"})
    assert reread_all(TESTS) == 0
    assert not is_over(session)
    corp.refresh_from_db()
    assert corp.problem


# --- told at once -----------------------------------------------------------------------------------------------------


class Followed:
    """The process that follows, in threads of this one."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            DirectoryProcess().run(self._stopping)
        finally:
            connection.close()

    def __enter__(self) -> Followed:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._stopping.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


def follows(name: str) -> None:
    """Wait until somebody has been read anew, which the follower does once it has been told everything."""
    seen = identity(name).last_seen_at
    until(lambda: identity(name).last_seen_at != seen, "the follower has not begun")
    time.sleep(0.3)  # people and groups are told by two connections


CHANGES: dict[str, tuple[Callable[[Slapd], None], Callable[[LoginSession], bool]]] = {
    "deleted": (lambda s: s.delete(f"uid=alice,{PEOPLE}"), is_over),
    "disabled": (lambda s: s.lock("alice"), is_over),
    "out of a group": (
        lambda s: s.change_places("sre", "charlie", "alice"),
        lambda _: groups("alice") == set(),
    ),
    "its group is out of a group": (
        lambda s: s.leave_group("staff", f"cn=sre,{GROUPS}"),
        lambda _: groups("alice") == {"sre"},
    ),
    "its group is deleted": (lambda s: s.delete(f"cn=sre,{GROUPS}"), lambda _: groups("alice") == set()),
    "into a group": (
        lambda s: s.join_group("auditors", "alice"),
        lambda _: groups("alice") == {"sre", "staff", "auditors"},
    ),
    "moved out of the base": (
        lambda s: s.modify(
            f"dn: uid=alice,{PEOPLE}", "changetype: modrdn", "newrdn: uid=alice", "deleteoldrdn: 1",
            "newsuperior: dc=example,dc=com",
        ),
        is_over,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_takes_effect_at_once(own: Slapd, name: str) -> None:
    """The interval is a minute here: only what the directory tells can be that fast."""
    connect(own)
    session = comes_in("alice")
    other = comes_in("bob")
    change, took_effect = CHANGES[name]
    with Followed():
        follows("alice")
        change(own)
        until(lambda: took_effect(session), f"{name} did not take effect")
    assert not is_over(other)
    assert groups("bob") == {"auditors", "staff"}


def test_who_comes_back_is_let_in_at_once(own: Slapd) -> None:
    connect(own)
    comes_in("alice")
    with Followed():
        follows("alice")
        own.lock("alice")
        until(lambda: not user("alice").is_active, "not out")
        own.unlock("alice")
        until(lambda: user("alice").is_active, "not back")


def test_what_happened_while_nobody_followed_takes_effect_at_the_start(own: Slapd) -> None:
    connect(own)
    session = comes_in("alice")
    own.delete(f"uid=alice,{PEOPLE}")
    assert not is_over(session)
    with Followed():
        until(lambda: is_over(session), "the start read nobody anew")


@pytest.mark.parametrize("how", [15, 9])
def test_a_restart_of_the_directory_is_survived(own: Slapd, how: int) -> None:
    """What changed while it could not tell, and what changes thereafter, takes effect."""
    connect(own)
    session, other = comes_in("alice"), comes_in("bob")
    with Followed():
        follows("alice")
        own.stop(how)
        own.go_on()
        own.delete(f"uid=alice,{PEOPLE}")
        until(lambda: is_over(session), "not seen after the restart", 15)
        own.leave_group("staff", "bob")
        until(lambda: groups("bob") == {"auditors"}, "not followed after the restart", 15)
    assert not is_over(other)


def test_connectors_that_come_and_go_are_followed_and_left(own: Slapd) -> None:
    with Followed():
        time.sleep(0.5)
        corp = connect(own)
        session = comes_in("alice")
        own.modify(f"dn: uid=alice,{PEOPLE}", "changetype: modify", "replace: mail", "mail: a@example.com")
        until(lambda: identity("alice").traits == {"mail": ["a@example.com"]}, "not followed")
        connect(own, enabled=False)
        until(lambda: is_over(session), "switching a connector off ends what came by it")
        session = comes_in_anyway("alice")
        time.sleep(1.0)
        own.delete(f"uid=alice,{PEOPLE}")
        time.sleep(0.5)
        assert not is_over(session), "a connector that is switched off is not asked"
        connect(own)
        until(lambda: is_over(session), "and is followed again when it is on")
    assert corp.name == "corp"


def comes_in_anyway(name: str) -> LoginSession:
    now = timezone.now()
    return LoginSession.objects.create(
        user=user(name),
        token_hash=digest(new_token("")),
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(hours=1),
    )


def test_another_mapping_takes_effect_at_once(own: Slapd) -> None:
    connect(own)
    comes_in("alice")
    with Followed():
        follows("alice")
        connect(own, groups=[{"claim": "groups", "value": "sre", "groups": ["engineers"]}])
        until(lambda: groups("alice") == {"engineers"}, "the old mapping still counts")


@pytest.mark.parametrize("follow", ["auto", "syncrepl", "poll"])
def test_a_directory_without_syncrepl_is_read_every_minute_instead(follow: str) -> None:
    with Slapd(syncprov=False) as server:
        corp = connect(server, follow=follow)
        session = comes_in("alice")
        with Followed():
            time.sleep(1.0)
            server.delete(f"uid=alice,{PEOPLE}")
            time.sleep(0.5)
            assert not is_over(session), "then this test proves nothing"
            corp.refresh_from_db()
            assert corp.problem == "", "that is no failure"
            from broker.tasks import reread_directories

            reread_directories()
            assert is_over(session)


def test_the_log_says_who_did_it(own: Slapd) -> None:
    connect(own)
    comes_in("alice")
    with Followed():
        follows("alice")
        own.delete(f"uid=alice,{PEOPLE}")
        until(lambda: not user("alice").is_active, "not out")
    event = AuditEvent.objects.get(name="user.disabled")
    assert (event.actor_kind, event.actor_name) == ("system", "directory")
    assert event.data["by"] == "ldap:corp"


def test_many_changes_at_once_are_all_seen(own: Slapd) -> None:
    names = [f"worker-{number}" for number in range(30)]
    own.add(*(person(name) for name in names), group("crew", *names))
    connect(own)
    sessions = [comes_in(name) for name in names]
    with Followed():
        follows(names[0])
        own.delete(f"cn=crew,{GROUPS}")
        own.modify(*(line for name in names[:10] for line in (f"dn: uid={name},{PEOPLE}", "changetype: delete", "")))
        until(lambda: User.objects.exclude(disabled_at=None).count() == 10, "not all are out", 20)
        until(lambda: not any(groups(name) for name in names[10:]), "not all lost the group", 20)
    assert [is_over(session) for session in sessions] == [True] * 10 + [False] * 20
    assert Identity.objects.count() == 30
