"""Who leaves is out: everything ends at once, and only whoever said so, or an administrator, lets them in again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Confirmation, Invite, LoginSession, OAuthCode, SignIn, User
from accounts.services.invites import invite_user, new_sign_in
from accounts.services.users import enable_user
from broker import live
from broker.audit.origin import Origin, system
from broker.models import AccessSession, App, AuditEvent, Launch
from broker.services import app_sessions, leavers, users
from broker.services.decisions import subject_now
from broker.tokens import digest
from tests.broker.cast import Cast, signed_in

ROOT = system("test")
OKTA = "scim:okta"


def again(name: str) -> User:
    return User.objects.get(username=name)


def open_everything(cast: Cast) -> None:
    """A browser, a CLI, an app, and all that is under way."""
    alice = cast.alice
    browser = signed_in(alice.user, LoginSession.Kind.BROWSER).session
    app_sessions.issue_app_token(alice.origin, alice.session, "grafana")
    soon = timezone.now() + timedelta(minutes=5)
    OAuthCode.objects.create(
        code_hash="c" * 64, login_session=browser, client_id="postern-cli", redirect_uri="x", expires_at=soon
    )
    Confirmation.objects.create(login_session=alice.session, number="1234", expires_at=soon)
    Launch.objects.create(
        code_hash=digest("x"),
        state_hash=digest("y"),
        app=App.objects.get(name="grafana"),
        login_session=browser,
        next="/",
        expires_at=soon,
    )
    new_sign_in(alice.origin, alice.user)
    invite_user(ROOT, alice.user)


def test_everything_of_a_leaver_ends(cast: Cast) -> None:
    open_everything(cast)
    assert leavers.take_out(ROOT, cast.alice.user, "left", by=OKTA) == 3
    for model in (OAuthCode, Confirmation, Launch, SignIn, Invite):
        assert not model._default_manager.exists(), model
    assert not LoginSession.objects.filter(user=cast.alice.user, ended_at=None).exists()
    assert not AccessSession.objects.filter(user_id=cast.alice.user.pk, ended_at=None).exists()
    assert subject_now(str(cast.alice.session.pk)) is None
    user = again("alice")
    assert (user.is_active, user.disabled_by, user.disabled_reason) == (False, OKTA, "left")
    event = AuditEvent.objects.get(name="user.disabled")
    assert (event.data["why"], event.data["by"], event.actor_name) == ("left", OKTA, "test")


def test_twice_is_as_good_as_once(cast: Cast) -> None:
    leavers.take_out(ROOT, cast.alice.user, "left", by=OKTA)
    before = AuditEvent.objects.count()
    assert leavers.take_out(ROOT, cast.alice.user, "left again", by=OKTA) == 0
    assert AuditEvent.objects.count() == before
    assert again("alice").disabled_by == OKTA


def test_what_a_race_left_open_ends_the_second_time(cast: Cast) -> None:
    leavers.take_out(ROOT, cast.alice.user, "left", by=OKTA)
    signed_in(cast.alice.user)
    assert leavers.take_out(ROOT, cast.alice.user, "left", by=OKTA) == 1


def test_only_the_same_source_lets_a_leaver_in_again(cast: Cast) -> None:
    leavers.take_out(ROOT, cast.alice.user, "left", by=OKTA)
    for other in ("ldap:corp", "scim:other", ""):
        assert not leavers.let_in_again(ROOT, cast.alice.user, by=other)
    assert leavers.let_in_again(ROOT, cast.alice.user, by=OKTA)
    assert (again("alice").is_active, again("alice").disabled_by) == (True, "")
    assert not leavers.let_in_again(ROOT, cast.alice.user, by=OKTA)
    assert not LoginSession.objects.filter(user=cast.alice.user, ended_at=None).exists()


def test_no_connector_lets_in_whom_an_administrator_disabled(cast: Cast) -> None:
    adam = cast.adam
    users.disable_user(adam.origin, adam.subject, "alice")
    leavers.take_out(ROOT, cast.alice.user, "left", by=OKTA)
    assert not leavers.let_in_again(ROOT, cast.alice.user, by=OKTA)
    assert not again("alice").is_active


def test_an_administrators_disable_takes_a_disabled_user_from_the_connector(cast: Cast) -> None:
    adam = cast.adam
    leavers.take_out(ROOT, cast.alice.user, "left", by=OKTA)
    users.disable_user(adam.origin, adam.subject, "alice")
    assert not leavers.let_in_again(ROOT, cast.alice.user, by=OKTA)
    assert AuditEvent.objects.filter(name="user.disabled").count() == 2


def test_whom_two_sources_disabled_one_does_not_let_in(cast: Cast) -> None:
    for source in (OKTA, "ldap:corp"):
        leavers.take_out(ROOT, cast.alice.user, "left", by=source)
    for source in (OKTA, "ldap:corp"):
        assert not leavers.let_in_again(ROOT, cast.alice.user, by=source)
    assert enable_user(ROOT, cast.alice.user)


def test_an_administrators_enable_forgets_who_disabled(cast: Cast) -> None:
    adam = cast.adam
    leavers.take_out(ROOT, cast.alice.user, "left", by=OKTA)
    assert users.enable_user(adam.origin, adam.subject, "alice")
    assert again("alice").disabled_by == ""


def test_even_the_last_administrator_goes_and_the_log_says_so(cast: Cast, caplog: pytest.LogCaptureFixture) -> None:
    origin = Origin("connector", "1", OKTA)
    assert leavers.take_out(origin, cast.adam.user, "left", by=OKTA) == 1
    event = AuditEvent.objects.get(name="user.last_administrator.out")
    assert event.resource_name == "adam"
    assert event.actor_name == OKTA
    assert "manage.py invite" in event.data["hint"]
    assert "adam was the last administrator" in caplog.text
    assert not live.current().users[str(cast.adam.user.pk)].active


def test_somebody_else_who_goes_is_nothing_loud(cast: Cast) -> None:
    leavers.take_out(ROOT, cast.alice.user, "left", by=OKTA)
    assert not AuditEvent.objects.filter(name="user.last_administrator.out").exists()


def test_a_connector_without_a_source_is_a_mistake(cast: Cast) -> None:
    with pytest.raises(ValueError):
        leavers.take_out(ROOT, cast.alice.user, "left", by="")
