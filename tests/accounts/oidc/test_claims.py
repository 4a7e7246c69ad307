"""What a provider's claims are worth: when a second factor was given, and whose address was verified."""

from __future__ import annotations

import pytest

from accounts.models import LoginSession
from tests.accounts.oidc.conftest import ConnectorMaker, Traveller, assert_refused, parameters
from tests.accounts.oidc.provider import HostileProvider

pytestmark = pytest.mark.django_db

TRUSTED = {"second_factor": {"amr": ["mfa"]}}


def test_a_second_factor_of_which_nobody_says_when_is_none(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    """L03: the token is new each time, the factor behind a session there may be days old; `iat` is no proof of one."""
    connect(**TRUSTED)
    traveller.there_and_back(amr=["mfa"], auth_time=None)
    assert not traveller.is_in
    assert not LoginSession.objects.exists()


def test_where_the_providers_factor_counts_it_is_asked_when_it_was_given(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    """OpenID Connect Core 1.0, 3.1.2.1: with `max_age` the provider must say `auth_time`."""
    connect(**TRUSTED)
    connect("plain")
    assert parameters(traveller.go())["max_age"] == "43200"
    assert "prompt" not in parameters(traveller.go())
    assert "max_age" not in parameters(traveller.go("plain"))


def test_an_address_from_another_claim_is_not_verified(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    """L15: `email_verified` is about `email`, not about whatever a connector maps as the address."""
    connect(create_users={"email_domains": ["example.com"]}, email="{{external.preferred_username}}")
    answer = traveller.there_and_back(email="ada@evil.org", email_verified=True, preferred_username="ada@example.com")
    assert_refused(answer, "not-among-created")


def test_userinfo_verifies_no_address_but_its_own(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    """L15: the token's address goes first, and is not the one that UserInfo says is verified."""
    connect(create_users={"email_domains": ["example.com"]})
    op.userinfo = {"sub": "alice-at-corp", "email": "ada@evil.org", "email_verified": True}
    assert_refused(traveller.there_and_back(email="ada@example.com", email_verified=None), "not-among-created")


@pytest.mark.parametrize("named, amr", [(["mfa"], ["fed", "mfa"]), (["mfa", "swk"], ["fed", "mfa", "swk"])])
def test_a_providers_factor_resists_phishing_only_where_the_connector_names_it(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller, named: list[str], amr: list[str]
) -> None:
    """An app that asks for a tap is `swk` at some providers, and would stand for a passkey here."""
    connect(second_factor={"amr": named})
    traveller.there_and_back(amr=["mfa", "swk", "sc"])
    assert LoginSession.objects.get().amr == amr
