"""One confirmation, one access session: whatever starts at the same time, and wherever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from accounts.models import LoginSession
from broker import live
from broker.errors import Denied
from broker.models import AccessSession, AuditEvent, Certificate
from broker.policy import Reason
from broker.services.app_sessions import NotStarted, issue_app_token, launch, redeem
from broker.services.authorities import ensure_authorities
from broker.services.certificates import issue_access
from broker.tokens import digest
from tests.broker.cast import PUBLIC_KEY, Actor, Cast, change

STATE = "the state cookie of a browser"
PER_SESSION = "mfa_per_session: true"
BATCH = "mfa_per_session: true, mfa_reuse: 10m"


def demand(options: str) -> None:
    """Of role engineer, by which alice opens grafana and db-1."""
    change(
        f"{{kind: role, metadata: {{name: engineer}}, spec: {{options: {{{options}}},"
        " allow: {app_labels: {env: dev}, server_labels: {env: dev}, logins: [root, deploy]}}}"
    )


def open_app(actor: Actor) -> AccessSession:
    """Launch and come back, as one browser does."""
    address = launch(actor.origin, actor.session, "grafana", "/d/1", digest(STATE))
    app_id = str(live.current().app_named("grafana").id)  # type: ignore[union-attr]
    _, access, target = redeem(actor.origin, app_id, address.partition("code=")[2], STATE)
    assert target == "/d/1"
    return access


def get_token(actor: Actor) -> AccessSession:
    return issue_app_token(actor.origin, actor.session, "grafana")[1]


def get_certificate(actor: Actor) -> AccessSession:
    ensure_authorities()
    issued = issue_access(actor.origin, actor.subject, "db-1", "root", PUBLIC_KEY)
    return AccessSession.objects.get(certificate_serial=issued.template.serial)


STARTS: tuple[Callable[[Actor], AccessSession], ...] = (open_app, get_token, get_certificate)


def confirmed_at(actor: Actor, seconds_ago: float, spent: float | None = None) -> None:
    """Set the second factor's times as they would be; the session is forgotten by the live state, as after an event."""
    now = timezone.now()
    LoginSession.objects.filter(pk=actor.session.pk).update(
        mfa_at=now - timedelta(seconds=seconds_ago),
        mfa_spent_at=None if spent is None else now - timedelta(seconds=spent),
    )
    actor.session.refresh_from_db()
    live.forget()


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("after", STARTS)
def test_a_confirmation_is_spent_whatever_it_was_spent_on(
    cast: Cast, start: Callable[[Actor], AccessSession], after: Callable[[Actor], AccessSession]
) -> None:
    """M22: the first session carries it, the second is denied and on record; nothing of it is left."""
    demand(PER_SESSION)
    alice = cast.alice
    mfa_at = alice.session.mfa_at
    assert start(alice).mfa_at == mfa_at
    sessions, certificates = AccessSession.objects.count(), Certificate.objects.count()
    with pytest.raises(Denied) as refused:
        after(alice)
    assert refused.value.denial.reasons == (Reason.MFA_SPENT,)
    assert (AccessSession.objects.count(), Certificate.objects.count()) == (sessions, certificates)
    assert AuditEvent.objects.filter(name="access.denied").last().reasons == ["mfa-spent"]  # type: ignore[union-attr]


@pytest.mark.parametrize("start", STARTS)
def test_after_confirming_again_the_next_one_starts(cast: Cast, start: Callable[[Actor], AccessSession]) -> None:
    demand(PER_SESSION)
    start(cast.alice)
    confirmed_at(cast.alice, 0)
    again = start(cast.alice)
    assert again.mfa_at == cast.alice.session.mfa_at
    assert AccessSession.objects.exclude(mfa_at=None).count() == 2


@pytest.mark.parametrize("start", STARTS)
def test_a_confirmation_five_minutes_old_starts_nothing(cast: Cast, start: Callable[[Actor], AccessSession]) -> None:
    demand(PER_SESSION)
    confirmed_at(cast.alice, 301)
    with pytest.raises(Denied) as refused:
        start(cast.alice)
    assert refused.value.denial.reasons == (Reason.MFA_TOO_OLD,)
    assert not AccessSession.objects.exists()


def test_a_batch_shares_one_confirmation_for_as_long_as_the_role_says(cast: Cast) -> None:
    demand(BATCH)
    began = [start(cast.alice).mfa_at for start in STARTS]
    assert len(set(began)) == 1
    confirmed_at(cast.alice, 700, spent=599)
    assert get_token(cast.alice).mfa_at
    confirmed_at(cast.alice, 700, spent=601)
    with pytest.raises(Denied):
        get_token(cast.alice)


def test_what_wants_none_spends_none(cast: Cast) -> None:
    for start in STARTS:
        assert start(cast.alice).mfa_at is None
    cast.alice.session.refresh_from_db()
    assert cast.alice.session.mfa_spent_at is None


def test_a_token_takes_a_confirmation_along_for_paths_that_will_want_it(cast: Cast) -> None:
    """Its own door is open, but a role that opens /admin wants one for each session; it is taken if it is good."""
    change(
        "{kind: role, metadata: {name: careful}, spec: {options: {mfa_per_session: true},"
        " allow: {app_labels: {env: dev}, paths: ['/admin/*']}}}\n---\n"
        "{kind: role_binding, spec: {role: careful, user: alice}}"
    )
    assert get_token(cast.alice).mfa_at == cast.alice.session.mfa_at
    confirmed_at(cast.alice, 301)
    assert get_token(cast.alice).mfa_at is None


def test_a_token_for_other_paths_alone_wants_what_they_want(cast: Cast) -> None:
    change(
        "{kind: role, metadata: {name: engineer}, spec: {options: {mfa_per_session: true},"
        " allow: {app_labels: {env: dev}, paths: ['/admin/*']}}}"
    )
    assert get_token(cast.alice).mfa_at == cast.alice.session.mfa_at
    with pytest.raises(Denied) as refused:
        get_token(cast.alice)
    assert refused.value.denial.reasons == (Reason.MFA_SPENT,)


def test_a_launch_whose_confirmation_was_taken_meanwhile_leads_back(cast: Cast) -> None:
    """Two tabs launch at once: both codes are good, one session starts, the other is told where it was going."""
    demand(PER_SESSION)
    alice = cast.alice
    codes = [
        launch(alice.origin, alice.session, "grafana", "/d/1", digest(STATE)).partition("code=")[2] for _ in range(2)
    ]
    app_id = str(live.current().app_named("grafana").id)  # type: ignore[union-attr]
    redeem(alice.origin, app_id, codes[0], STATE)
    with pytest.raises(NotStarted) as refused:
        redeem(alice.origin, app_id, codes[1], STATE)
    assert (refused.value.target, refused.value.denial.reasons) == ("/d/1", (Reason.MFA_SPENT,))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("start", [get_token, get_certificate])
def test_of_many_that_start_at_once_one_gets_it(
    transactional_db: None, start: Callable[[Actor], AccessSession]
) -> None:
    """M22 P15: eight at the same time, one confirmation; SQLite and PostgreSQL."""
    cast = Cast()
    demand(PER_SESSION)
    alice = cast.alice
    ensure_authorities()
    live.current()
    ready, began, refused = threading.Barrier(8), [], []

    def one() -> None:
        try:
            ready.wait()
            began.append(start(alice))
        except Denied as error:
            refused.append(error.denial.reasons)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(began) == 1
    assert refused == [(Reason.MFA_SPENT,)] * 7
    assert AccessSession.objects.filter(mfa_at__isnull=False).count() == 1
    connection.close()
    live.forget()
