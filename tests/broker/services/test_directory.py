"""Reading people anew: what is not believed of a directory, and which of two readings counts."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from accounts import connectors
from accounts.directory.entry import Down, Entry
from accounts.models import Connector, Identity, User
from accounts.services.identities import Arrival
from accounts.services.invites import new_sign_in
from accounts.services.users import create_user
from broker.errors import Conflict, Unavailable
from broker.policy.claims import Outcome
from broker.services import directory as service
from broker.services.directory import people_with_something_open, reread, reread_people
from broker.services.leavers import take_out
from tests.conftest import TESTS

pytestmark = pytest.mark.django_db(transaction=True)
Reads = Callable[[str], Entry | None]


@pytest.fixture
def corp() -> Connector:
    connectors.forget()
    return Connector.objects.create(kind="ldap", name="corp", document={})


def of_corp(corp: Connector, name: str) -> Identity:
    user = create_user(TESTS, name)
    return Identity.objects.create(user=user, connector=corp, issuer=corp.source, subject=f"id-{name}")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A directory that says what the test wants."""
    fake = SimpleNamespace(
        read=lambda _: None, shows_anybody=lambda: True, is_disabled=lambda _: False, check=lambda: None, rests=False
    )

    def arrival(connector: Connector, _: object, entry: Entry) -> Arrival:
        return Arrival(connector, connector.source, entry.uuid, Outcome())

    monkeypatch.setattr(service, "directory_of", lambda _: fake)
    monkeypatch.setattr(service, "arrival_of", arrival)
    return fake


def test_a_directory_in_which_nobody_is_seen_any_more_puts_nobody_out(corp: Connector, told: SimpleNamespace) -> None:
    """Its bind account lost its rights, or it was restored empty: an accident, and said so; not everybody leaving."""
    alice, bob = of_corp(corp, "alice"), of_corp(corp, "bob")
    for identity in (alice, bob):
        new_sign_in(TESTS, identity.user, via=corp.source)
    told.shows_anybody = lambda: False
    with pytest.raises(Unavailable, match="nobody at all"):
        reread(TESTS, alice)
    assert reread_people(TESTS, corp) == 0
    assert not User.objects.exclude(disabled_at=None).exists()
    corp.refresh_from_db()
    assert "shows nobody" in corp.problem


def test_one_who_is_gone_among_others_or_was_alone_is_out(corp: Connector, told: SimpleNamespace) -> None:
    alice, bob = of_corp(corp, "alice"), of_corp(corp, "bob")
    assert reread(TESTS, alice) is service.Result.OUT
    told.shows_anybody = lambda: False
    assert reread(TESTS, bob) is service.Result.OUT


def test_a_slow_reading_lets_nobody_in_whom_a_newer_one_put_out(corp: Connector, told: SimpleNamespace) -> None:
    alice = of_corp(corp, "alice")

    def slow(subject: str) -> Entry:
        take_out(TESTS, alice.user, service.GONE, by=corp.source)  # by the newer reading
        return Entry("uid=alice", subject)

    told.read = slow
    with pytest.raises(Conflict, match="meanwhile"):
        reread(TESTS, alice)
    alice.user.refresh_from_db()
    assert not alice.user.is_active
    told.read = lambda subject: Entry("uid=alice", subject)
    assert reread(TESTS, alice) is service.Result.BACK


def test_people_who_cannot_be_read_are_a_problem_of_the_connector(corp: Connector, told: SimpleNamespace) -> None:
    """Else leavers stay in, and nobody is told."""
    alice = of_corp(corp, "alice")
    new_sign_in(TESTS, alice.user, via=corp.source)

    def refused(_: str) -> Entry | None:
        raise Down("the directory refuses cn=postern: insufficient access")

    told.read = refused
    reread_people(TESTS, corp, {"id-alice"})
    corp.refresh_from_db()
    assert "insufficient access" in corp.problem


def test_who_is_signing_in_is_read_anew_too(corp: Connector) -> None:
    alice, _ = of_corp(corp, "alice"), of_corp(corp, "bob")
    new_sign_in(TESTS, alice.user, via=corp.source)
    assert list(people_with_something_open(corp)) == [alice]
