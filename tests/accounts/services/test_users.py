"""Users and groups: each change is one transaction with its event, and says what the feed must reload."""

from __future__ import annotations

import pytest

from accounts.models import Group, Membership, User
from accounts.services.users import create_user, delete_user, disable_user, enable_user, set_groups, update_user
from broker import live
from broker.errors import Conflict, Invalid
from broker.models import AuditEvent
from broker.policy import Subject
from broker.services.decisions import subject_now
from tests.conftest import TESTS, Clock, Person

pytestmark = pytest.mark.django_db


def names() -> list[str]:
    return list(AuditEvent.objects.order_by("seq").values_list("name", flat=True))


def nobodys_session(person: Person) -> Subject:
    """The person as decisions see them without a login session."""
    subject = live.current().subject_without_session(str(person.user.pk))
    assert subject is not None
    return subject


def test_a_refused_user_leaves_nothing_behind() -> None:
    with pytest.raises(Invalid):
        create_user(TESTS, "dora", groups=["Not A Group!"])
    assert not User.objects.exists()
    assert not names()


def test_a_new_user_cannot_sign_in_before_an_invite() -> None:
    assert not create_user(TESTS, "dora").has_usable_password()


def test_setting_groups_touches_the_group_and_the_user(alice: Person) -> None:
    AuditEvent.objects.all().delete()
    assert set_groups(TESTS, alice.user, ["ops"])
    assert names() == ["group.created", "group.member.added", "group.member.removed"]
    added = AuditEvent.objects.get(name="group.member.added")
    assert f"user:{alice.user.pk}" in added.touches
    assert f"group:{Group.objects.get(name='ops').pk}" in added.touches


def test_setting_the_same_groups_again_is_no_event(alice: Person) -> None:
    AuditEvent.objects.all().delete()
    assert not set_groups(TESTS, alice.user, ["engineers"])
    assert not names()


def test_each_source_keeps_its_own_memberships(alice: Person) -> None:
    set_groups(TESTS, alice.user, ["engineers", "ldap-admins"], source="ldap")
    set_groups(TESTS, alice.user, [], source="local")
    assert set(Membership.objects.values_list("source", "group__name")) == {
        ("ldap", "engineers"),
        ("ldap", "ldap-admins"),
    }
    assert nobodys_session(alice).groups == {"engineers", "ldap-admins"}


def test_updating_says_what_changed_and_only_that(alice: Person) -> None:
    AuditEvent.objects.all().delete()
    assert update_user(TESTS, alice.user, full_name="Alice", email="a@example.com", traits={"logins": ["root"]})
    assert AuditEvent.objects.get().data["changed"] == ["email", "traits"]
    assert not update_user(TESTS, alice.user, email="a@example.com")


def test_disabling_twice_is_one_event(alice: Person) -> None:
    disable_user(TESTS, alice.user, "left")
    assert disable_user(TESTS, alice.user, "left") == 0
    assert names().count("user.disabled") == 1
    assert enable_user(TESTS, alice.user)
    assert not enable_user(TESTS, alice.user)


def test_a_deleted_users_name_stays_in_the_log(alice: Person) -> None:
    delete_user(TESTS, alice.user)
    assert AuditEvent.objects.get(name="user.deleted").resource_name == "alice"
    assert create_user(TESTS, "alice").pk != alice.user.pk


def test_a_taken_name_is_a_conflict(alice: Person) -> None:
    with pytest.raises(Conflict):
        create_user(TESTS, "alice")


def test_the_subject_carries_groups_traits_and_the_login(alice: Person, clock: Clock) -> None:
    session = alice.session
    subject = subject_now(str(session.pk))
    assert subject is not None
    assert subject.name == "alice"
    assert subject.groups == {"engineers"}
    assert subject.traits == {"logins": ("alice",)}
    assert subject.login is not None
    assert subject.login.amr == {"pwd", "otp", "mfa"}
    assert subject.login.expires_at == session.last_seen_at.timestamp() + 4 * 3600
    assert nobodys_session(alice).login is None


def test_a_disabled_subject_is_not_active(alice: Person) -> None:
    disable_user(TESTS, alice.user)
    alice.user.refresh_from_db()
    assert not nobodys_session(alice).active
