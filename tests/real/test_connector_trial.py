"""An administrator tries a name at a real OpenLDAP: the entry, the groups, what would happen, and that nothing does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Connector, Identity, Membership, User
from broker import live
from broker.models import AuditEvent
from broker.services.authorities import ensure_authorities
from broker.services.connector_trial import Trial, try_name
from tests.broker.cast import Cast
from tests.broker.console.browser import Browser, words
from tests.real.ldap_world import NAME, _nothing_remembered, connect, slapd
from tests.real.slapd import PEOPLE, Slapd, password_of

__all__ = ["_nothing_remembered", "slapd"]
pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tried(slapd: Slapd) -> Callable[..., Trial]:
    """Asks the directory as adam, an administrator."""
    live.forget()
    ensure_authorities()
    cast = Cast()

    def ask(typed: str, **spec: Any) -> Trial:
        if not Connector.objects.exists():
            connect(slapd, **spec)
        return try_name(cast.adam.origin, cast.adam.subject, NAME, typed)

    return ask


def outcomes() -> list[str]:
    return [row.data["outcome"] for row in AuditEvent.objects.filter(name="connector.tested").order_by("seq")]


def test_a_name_that_nobody_has_is_said(tried: Callable[..., Trial]) -> None:
    trial = tried("nobody-of-that-name")
    assert (trial.why, trial.dn, trial.arrival) == ("no-entry", "", None)
    assert Connector.objects.get().problem == ""


def test_a_name_of_ours_that_is_somebody_elses_there_is_refused_as_a_sign_in_would_be(
    tried: Callable[..., Trial],
) -> None:
    """L15: alice there is not alice here because of her name."""
    trial = tried("alice")
    assert (trial.would, trial.why) == ("", "name-taken")
    assert trial.dn == f"uid=alice,{PEOPLE}"


def test_who_may_come_is_foreseen_and_nothing_is_done(tried: Callable[..., Trial]) -> None:
    trial = tried("alice", username="x-{{external.uid}}")
    assert trial.would == "create x-alice and sign in"
    assert trial.arrival is not None
    assert trial.arrival.outcome.groups
    assert trial.arrival.email_verified
    assert not Identity.objects.exists()
    assert not User.objects.filter(username="x-alice").exists()
    assert not Membership.objects.filter(source=f"ldap:{NAME}").exists()
    assert not AuditEvent.objects.filter(name="user.created", resource_name="x-alice").exists()
    assert outcomes() == ["ok"]


def test_whose_account_is_not_made_hears_why(tried: Callable[..., Trial]) -> None:
    trial = tried("alice", username="x-{{external.uid}}", create_users=False)
    assert (trial.would, trial.why) == ("", "not-linked")


def test_a_directory_that_is_down_is_said_and_noted(tried: Callable[..., Trial]) -> None:
    trial = tried("alice", urls=["ldap://127.0.0.1:9"])
    assert trial.why == "directory-down"
    assert Connector.objects.get().problem
    assert outcomes() == ["directory-down"]


def test_the_page_shows_the_entry_the_groups_and_no_password(slapd: Slapd, tried: Callable[..., Trial]) -> None:
    """R06: neither the reader's password nor a hash of the person's."""
    tried("alice", username="x-{{external.uid}}")
    page = Browser("adam").post(f"/console/connectors/{NAME}/try", typed="alice")
    said = words(page)
    assert "With the right password this would create x-alice and sign in" in said
    assert f"uid=alice,{PEOPLE}" in said
    assert "trait mail: {{external.mail}}" in said
    assert password_of("alice") not in page.content.decode()
    assert "{SSHA" not in page.content.decode()
    assert "{ARGON2" not in page.content.decode()
