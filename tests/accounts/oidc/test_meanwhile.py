"""What ends while somebody is on the way through a provider has ended for them too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection

from accounts.models import Connector, Identity, LoginSession, SignIn, User
from accounts.services import oidc_flow, oidc_sign_in, sign_in
from accounts.services.login_sessions import sign_out_everywhere
from accounts.services.oidc_flow import Vouched
from tests.accounts.oidc.conftest import ConnectorMaker, Traveller, assert_refused, words
from tests.accounts.oidc.provider import HostileProvider
from tests.conftest import TESTS, Person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Does something while the provider is asked for the tokens."""

    def doing(what: Callable[[], object]) -> None:
        asked = oidc_flow.vouched_by

        def slow(*given: object) -> Vouched:
            found = asked(*given)  # type: ignore[arg-type]
            what()
            return found

        monkeypatch.setattr(oidc_sign_in, "vouched_by", slow)

    return doing


def test_a_connector_switched_off_while_it_is_asked_lets_nobody_in(
    corp: Connector, traveller: Traveller, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    meanwhile(lambda: Connector.objects.update(enabled=False))
    assert_refused(traveller.there_and_back(), "connector-disabled")
    assert not SignIn.objects.exists()


def test_a_sign_in_that_is_ended_while_it_finishes_has_ended(
    connect: ConnectorMaker, traveller: Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L25: a logout there, or a connector switched off, does not wait for the row of the user."""
    connect(second_factor={"amr": ["mfa"]})
    looked = sign_in.step_of

    def overtaken(row: SignIn) -> sign_in.Step:
        step = looked(row)
        if step == sign_in.Step.FINISH and connection.in_atomic_block:
            SignIn.objects.filter(pk=row.pk).delete()
        return step

    monkeypatch.setattr(sign_in, "step_of", overtaken)
    traveller.there_and_back(amr=["mfa"])
    assert not LoginSession.objects.exists()
    assert not traveller.is_in


def test_nothing_is_connected_for_somebody_signed_out_meanwhile(
    op: HostileProvider,
    corp: Connector,
    alice: Person,
    meanwhile: Callable[[Callable[[], object]], None],
) -> None:
    """Whoever stole a session must not leave with an account that opens hers for good."""
    traveller = Traveller(op, alice.client)
    url = traveller.go(path="/account/identities/corp/link")
    meanwhile(lambda: sign_out_everywhere(TESTS, User.objects.get(pk=alice.user.pk)))
    page = traveller.back(op.grant(url))
    assert page.status_code == 403, words(page)
    assert "no-session" in words(page)
    assert not Identity.objects.exists()


def test_nothing_is_confirmed_for_somebody_signed_out_meanwhile(
    op: HostileProvider,
    connect: ConnectorMaker,
    alice: Person,
    meanwhile: Callable[[Callable[[], object]], None],
) -> None:
    connector = connect(second_factor={"amr": ["mfa"]})
    Identity.objects.create(user=alice.user, connector=connector, issuer=op.issuer, subject="alice-at-corp")
    traveller = Traveller(op, alice.client)
    url = traveller.go(path="/account/confirm/oidc/corp")
    meanwhile(lambda: sign_out_everywhere(TESTS, User.objects.get(pk=alice.user.pk)))
    assert "no-session" in words(traveller.back(op.grant(url, {"amr": ["mfa"]})))
