"""Damaged rows open nothing, and take nobody else down with them."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from broker.live import Live
from broker.models import App, Role, Server
from tests.broker.cast import Cast, change

DAMAGED = [[], "text", 5, {}, {"kind": "role"}, {"kind": "role", "metadata": [], "spec": 7}]
TRAITS = [[], "text", 5, {"team": None}, {"team": 5}, {"team": [["db"]]}, {"team": "db"}]


@pytest.fixture
def cast(db: None) -> Cast:
    return Cast()


@pytest.mark.parametrize("document", DAMAGED, ids=str)
def test_a_damaged_document_is_left_out_and_the_rest_stands(cast: Cast, document: Any) -> None:
    """R15: whoever holds the role has nothing, all others what they had."""
    Role.objects.filter(name="engineer").update(document=document)
    App.objects.filter(name="canary-vault").update(document=document)
    Server.objects.filter(name="canary-prod").update(document=document)
    change("{kind: group, metadata: {name: fresh}}")
    live = Live()
    live.load()
    assert not live.grants(str(cast.alice.user.pk))
    assert live.grants(str(cast.bob.user.pk))
    assert live.app_named("canary-vault") is None
    assert live.server_named("canary-prod") is None
    assert live.app_named("grafana")


@pytest.mark.parametrize("traits", TRAITS, ids=str)
def test_a_user_with_damaged_traits_is_nobody(cast: Cast, traits: Any) -> None:
    User.objects.filter(username="alice").update(traits=traits)
    live = Live()
    live.load()
    assert live.user_named("alice") is None
    assert live.user_named("bob")
