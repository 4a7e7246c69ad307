"""An administrator's reset of somebody's second factor: two people or an hour, and the person may refuse (M18)."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.authenticators import recovery, second_factor, totp
from accounts.models import Connector, FactorReset, Identity, Invite, LoginSession, Notice, User
from accounts.services import factor_resets as service
from accounts.services.invites import reset_factors
from accounts.services.sign_in import Step, begin_vouched, find, step_of
from accounts.services.users import disable_user, enable_user
from broker.audit.origin import Origin
from broker.errors import Conflict, Denied, NotFound
from broker.models import AuditEvent
from broker.policy import Subject
from broker.services import factor_resets, leavers
from broker.services.app_sessions import issue_app_token
from tests.accounts.test_enrolment import path_of
from tests.broker.cast import Actor, Cast, change, signed_in
from tests.conftest import TESTS, Clock, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)
ADAM = Origin("person", "11111111-1111-1111-1111-111111111111", "adam", "203.0.113.9")


@pytest.fixture
def cast(db: None) -> Cast:
    return Cast()


def events() -> list[str]:
    return list(
        AuditEvent.objects.filter(name__startswith="user.factors").order_by("seq").values_list("name", flat=True)
    )


def is_in(person: Person) -> bool:
    return person.client.get("/account").status_code == 200


# --- while it waits, nothing is lost ----------------------------------------------------------------------------------


def test_nothing_is_lost_while_a_reset_waits(alice: Person, clock: Clock) -> None:
    """M18, L24: asking removes no factor, ends no session and lets nobody in."""
    codes = recovery.new_codes(alice.user)
    assert is_in(alice)
    service.ask(ADAM, alice.user)
    clock.advance(3599)
    assert service.carry_out_due() == 0
    assert totp.device_of(alice.user) == alice.device
    assert recovery.left(alice.user) == len(codes)
    assert is_in(alice)
    assert events() == ["user.factors.reset.asked"]


def test_the_person_is_told_at_once(alice: Person) -> None:
    """M18."""
    service.ask(ADAM, alice.user)
    notice = Notice.objects.get(user=alice.user)
    assert (notice.kind, notice.data["by"]) == ("reset-asked", "adam")
    for path in ("/account", "/account/notices"):
        page = alice.client.get(path).content.decode()
        assert "/account/reset/refuse" in page


def test_it_takes_effect_when_its_time_has_come_and_once(alice: Person, clock: Clock) -> None:
    """M18."""
    assert is_in(alice)
    service.ask(ADAM, alice.user)
    clock.advance(3600)
    assert service.carry_out_due() == 1
    assert service.carry_out_due() == 0
    assert not second_factor.has_any(alice.user)
    assert not is_in(alice)
    done = AuditEvent.objects.get(name="user.factors.reset")
    assert (done.data["how"], done.data["asked_by"], done.actor_kind) == ("due", "adam", "system")
    assert list(Notice.objects.order_by("created_at").values_list("kind", flat=True)) == [
        "reset-asked",
        "factors-reset",
    ]


def test_one_reset_waits_at_a_time(alice: Person) -> None:
    service.ask(ADAM, alice.user)
    with pytest.raises(Conflict, match="asked for by adam"):
        service.ask(TESTS, alice.user)


# --- refusing ---------------------------------------------------------------------------------------------------------


def test_the_person_refuses_from_a_live_session(alice: Person, clock: Clock) -> None:
    """M18."""
    service.ask(ADAM, alice.user)
    assert alice.client.get("/account/reset/refuse").status_code == 200
    assert service.pending(alice.user), "looking refuses nothing"
    assert alice.client.post("/account/reset/refuse")["Location"] == "/account"
    clock.advance(7200)
    assert service.carry_out_due() == 0
    assert totp.device_of(alice.user) == alice.device
    assert events() == ["user.factors.reset.asked", "user.factors.reset.refused"]


def test_nobody_refuses_anothers(alice: Person, bob: Person) -> None:
    service.ask(ADAM, alice.user)
    bob.client.post("/account/reset/refuse")
    assert service.pending(alice.user)


def test_refused_and_approved_at_once_is_one_of_them(alice: Person) -> None:
    service.ask(ADAM, alice.user)

    def decide(verb: Any) -> bool:
        try:
            verb(TESTS, User.objects.get(pk=alice.user.pk))
        except NotFound:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(decide, [service.approve, service.refuse, service.cancel, service.approve]))
    assert sum(won) == 1
    outcome = FactorReset.objects.get().outcome
    assert (outcome == "done") == (not second_factor.has_any(alice.user))


def test_of_who_is_disabled_nothing_waits(alice: Person, clock: Clock) -> None:
    """M18: who cannot sign in cannot refuse, so disabling does not let the time run out behind their back."""
    service.ask(ADAM, alice.user)
    disable_user(ADAM, alice.user)
    assert service.pending(alice.user) is None
    clock.advance(7200)
    assert service.carry_out_due() == 0
    enable_user(ADAM, alice.user)
    assert service.carry_out_due() == 0
    assert totp.device_of(alice.user) == alice.device
    assert events() == ["user.factors.reset.asked", "user.factors.reset.cancelled"]


def test_of_who_is_disabled_none_is_asked_for(alice: Person) -> None:
    """M18."""
    disable_user(ADAM, alice.user)
    with pytest.raises(Conflict, match="alice is disabled"):
        service.ask(ADAM, User.objects.get(pk=alice.user.pk))
    assert not FactorReset.objects.exists()


# --- the link ---------------------------------------------------------------------------------------------------------


def asked(cast: Cast) -> factor_resets.Reset:
    """Adam asks for a reset of alice, who has a factor."""
    user = User.objects.get(username="alice")
    device = totp.new_device(user)
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    return factor_resets.reset_mfa(cast.adam.origin, cast.adam.subject, "alice")


def test_the_link_opens_only_when_the_reset_took_effect(cast: Cast, clock: Clock) -> None:
    """M18, L24."""
    reset = asked(cast)
    assert reset.link
    assert reset.waits_until == clock.now + timedelta(hours=1)
    path = path_of(reset.link)
    browser = new_client()
    early = browser.get(path)
    assert early.status_code == 404
    assert "does not work yet" in early.content.decode()
    assert browser.post(path).status_code == 404
    clock.advance(3600)
    assert browser.post(path)["Location"] in ("/sign-in/password", "/sign-in/new-password")
    assert not LoginSession.objects.filter(user__username="alice", ended_at=None).exists()


def test_the_link_of_a_reset_taken_back_is_dead(cast: Cast, clock: Clock) -> None:
    reset = asked(cast)
    assert reset.link
    factor_resets.cancel_reset(cast.adam.origin, cast.adam.subject, "alice")
    clock.advance(3600)
    assert new_client().post(path_of(reset.link)).status_code == 404
    assert second_factor.has_any(User.objects.get(username="alice"))


def test_of_two_links_the_older_is_dead(alice: Person) -> None:
    """L24."""
    first, second = reset_factors(TESTS, alice.user), reset_factors(TESTS, alice.user)
    assert new_client().get(path_of(first)).status_code == 404
    assert new_client().get(path_of(second)).status_code == 200
    assert Invite.objects.filter(user=alice.user, used_at=None).count() == 1


def test_guessing_behind_a_reset_link_is_limited_like_everywhere(alice: Person, clock: Clock) -> None:
    """L24: the sixth wrong password is not even looked at, nor is the right one after it."""
    browser = new_client()
    assert browser.post(path_of(reset_factors(TESTS, alice.user)))["Location"] == "/sign-in/password"
    for status in [422] * 5 + [429]:
        assert browser.post("/sign-in/password", {"password": "wrong"}).status_code == status
    assert browser.post("/sign-in/password", {"password": alice.password}).status_code == 429
    assert new_client().post("/sign-in/password", {"password": alice.password})["Location"] == "/sign-in"


# --- who decides ------------------------------------------------------------------------------------------------------


def other_administrator(cast: Cast) -> Actor:
    """A second administrator, who did not ask."""
    change("{kind: user, metadata: {name: ada}}\n---\n{kind: role_binding, spec: {role: administrator, user: ada}}")
    return signed_in(User.objects.get(username="ada"))


def test_nobody_approves_what_they_asked_for(cast: Cast, clock: Clock) -> None:
    """M18."""
    asked(cast)
    with pytest.raises(Denied, match="you asked for this reset yourself"):
        factor_resets.approve_reset(cast.adam.origin, cast.adam.subject, "alice")
    assert second_factor.has_any(User.objects.get(username="alice"))
    assert AuditEvent.objects.filter(name="access.denied", actor_name="adam").count() == 1


def test_who_may_not_change_users_may_not_approve_or_take_back(cast: Cast, clock: Clock) -> None:
    """M18."""
    asked(cast)
    for actor in (cast.alice, cast.bob, cast.charlie):
        for verb in (factor_resets.approve_reset, factor_resets.cancel_reset):
            with pytest.raises(Denied):
                verb(actor.origin, actor.subject, "alice")
    assert service.pending(User.objects.get(username="alice"))


def test_a_second_administrator_approves(cast: Cast, clock: Clock) -> None:
    """M18."""
    reset = asked(cast)
    ada = other_administrator(cast)
    assert factor_resets.approve_reset(ada.origin, ada.subject, "alice") >= 0
    assert not second_factor.has_any(User.objects.get(username="alice"))
    done = AuditEvent.objects.get(name="user.factors.reset")
    assert (done.data["how"], done.data["asked_by"], done.actor_name) == ("approved", "adam", "ada")
    assert reset.link
    assert new_client().get(path_of(reset.link)).status_code == 200


def waited_for_after_the_log(act: Callable[[], object]) -> list[str]:
    """The rows of sessions that are changed when the log is held already: who holds one and waits for the log as well
    would wait for ever."""
    with CaptureQueriesContext(connection) as captured:
        act()
    said = [query["sql"] for query in captured]
    first = next(number for number, sql in enumerate(said) if sql.startswith("INSERT INTO broker_auditevent"))
    assert any(sql.startswith('UPDATE "accounts_loginsession"') for sql in said[:first])
    return [sql for sql in said[first:] if re.match(r'UPDATE "(accounts_loginsession|broker_accesssession)"', sql)]


def test_who_ends_sessions_has_them_before_the_log(cast: Cast, clock: Clock) -> None:
    """An approval, a reset at once and a disabling do not hold up, and are not undone for, a session that starts."""
    asked(cast)
    ada = other_administrator(cast)
    for name in ("alice", "bob"):
        issue_app_token(getattr(cast, name).origin, getattr(cast, name).session, "grafana")
    assert not waited_for_after_the_log(lambda: factor_resets.approve_reset(ada.origin, ada.subject, "alice"))
    assert not waited_for_after_the_log(lambda: factor_resets.reset_mfa(ada.origin, ada.subject, "bob"))
    again = signed_in(User.objects.get(username="bob"))
    issue_app_token(again.origin, again.session, "grafana")
    assert not waited_for_after_the_log(lambda: leavers.disable(ada.origin, again.user, "gone"))


def test_a_reset_that_waited_for_somebody_else_is_not_the_one_approved(cast: Cast, clock: Clock) -> None:
    with pytest.raises(NotFound):
        factor_resets.approve_reset(cast.adam.origin, cast.adam.subject, "alice")


# --- when it does not wait --------------------------------------------------------------------------------------------


def test_without_a_delay_it_takes_effect_at_once_and_is_told(cast: Cast, clock: Clock, settings: Any) -> None:
    """M18: the setting turns the wait off, and the log says so."""
    settings.POSTERN = settings.POSTERN.model_copy(update={"reset_delay": 0.0})
    reset = asked(cast)
    assert reset.waits_until is None
    assert not second_factor.has_any(User.objects.get(username="alice"))
    assert AuditEvent.objects.get(name="user.factors.reset").data["how"] == "at-once"
    assert Notice.objects.filter(user__username="alice", kind="factors-reset").exists()


def test_whoever_has_no_factor_has_nothing_to_lose(cast: Cast) -> None:
    assert factor_resets.reset_mfa(cast.adam.origin, cast.adam.subject, "bob").waits_until is None


def test_the_machine_itself_waits_for_nobody(alice: Person) -> None:
    """M18: break-glass, and what waited is overtaken."""
    service.ask(ADAM, alice.user)
    reset_factors(TESTS, alice.user)
    assert not second_factor.has_any(alice.user)
    assert FactorReset.objects.get().outcome == "cancelled"
    assert events() == ["user.factors.reset.asked", "user.factors.reset.cancelled", "user.factors.reset"]


# --- who comes in by a connector --------------------------------------------------------------------------------------


def test_who_comes_in_by_a_provider_enrols_at_the_next_sign_in_and_gets_no_link(cast: Cast, clock: Clock) -> None:
    """M18: the same row stands before it; a link would give them a password of ours."""
    connector = Connector.objects.create(kind="oidc", name="id", document={})
    user = User.objects.get(username="alice")
    user.set_unusable_password()
    user.save(update_fields=["password"])
    Identity.objects.create(user=user, connector=connector, issuer="https://id.example.com", subject="1")
    reset = asked(cast)
    assert reset.link is None

    def next_step() -> Step:
        sign_in = find(begin_vouched(TESTS, user, via="oidc:id", amr=("fed",), next=""))
        assert sign_in
        return step_of(sign_in)

    assert next_step() == Step.SECOND_FACTOR, "the factor of before still counts"
    clock.advance(3600)
    assert next_step() == Step.ENROL


def test_subjects_are_who_they_say(cast: Cast) -> None:
    """The cast's adam is another than the one that asked here: names do not count, ids do."""
    user = User.objects.get(username="alice")
    service.ask(ADAM, user)
    subject = cast.adam.subject
    assert isinstance(subject, Subject)
    assert subject.id != ADAM.actor_id
    factor_resets.approve_reset(cast.adam.origin, subject, "alice")
    assert timezone.now() >= FactorReset.objects.get().asked_at
