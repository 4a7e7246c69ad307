"""Who may make a SCIM client's token, and that only the newest one works."""

from __future__ import annotations

import json

import pytest

from accounts import connectors
from accounts.models import Connector
from broker.audit.origin import Origin
from broker.documents import ScimSpec, to_document
from broker.errors import Conflict, Denied, NotFound
from broker.models import AuditEvent
from broker.services.scim_tokens import NotAClient, client_of, make_token, turn
from broker.tokens import digest
from tests.broker.cast import Cast, change

HERE = Origin(address="192.0.2.50")


@pytest.fixture
def okta(cast: Cast) -> Connector:
    connectors.forget()
    return Connector.objects.create(kind="scim", name="okta", document=to_document(ScimSpec("okta")))


def test_only_full_administrators_make_tokens(cast: Cast, okta: Connector) -> None:
    """Whoever provisions can be anybody, so the action alone is not enough."""
    change(
        "{kind: role, metadata: {name: connecting}, spec: {allow: {rules: [{resources: [connector], verbs: ['*']}]}}}"
        "\n---\n{kind: role_binding, spec: {role: connecting, user: holly}}"
    )
    for actor in (cast.alice, cast.audrey, cast.holly):
        with pytest.raises(Denied):
            make_token(actor.origin, actor.subject, "okta")
    with pytest.raises(Denied):
        make_token(HERE, None, "okta")
    assert AuditEvent.objects.filter(name="access.denied").count() == 4
    okta.refresh_from_db()
    assert okta.token_hash is None


def test_only_scim_clients_have_one(cast: Cast, okta: Connector) -> None:
    Connector.objects.create(kind="oidc", name="corp", document={})
    with pytest.raises(Conflict):
        make_token(cast.adam.origin, cast.adam.subject, "corp")
    for name in ("nobody", "okta\0"):
        with pytest.raises(NotFound):
            make_token(cast.adam.origin, cast.adam.subject, name)


def test_the_newest_token_works_and_is_kept_as_a_hash(cast: Cast, okta: Connector) -> None:
    first, second = (make_token(cast.adam.origin, cast.adam.subject, "okta") for _ in range(2))
    with pytest.raises(NotAClient):
        client_of(HERE, first.token)
    client = client_of(HERE, second.token)
    assert (client.source, client.origin.actor_kind, client.origin.address) == ("scim:okta", "connector", "192.0.2.50")
    okta.refresh_from_db()
    assert okta.token_hash == digest(second.token)
    assert len(second.token) == len("ptn_scim_") + 43
    events = json.dumps(list(AuditEvent.objects.values()), default=str)
    assert second.token not in events + repr(second)
    made = AuditEvent.objects.filter(name="connector.token.made")
    assert [event.actor_name for event in made] == ["adam", "adam"]


def test_what_is_under_way_ends_with_the_token_or_the_connector(cast: Cast, okta: Connector) -> None:
    client = client_of(HERE, make_token(cast.adam.origin, cast.adam.subject, "okta").token)
    with turn(client):
        pass
    make_token(cast.adam.origin, cast.adam.subject, "okta")
    with pytest.raises(NotAClient), turn(client):
        raise AssertionError("got in")
    client = client_of(HERE, make_token(cast.adam.origin, cast.adam.subject, "okta").token)
    Connector.objects.update(enabled=False)
    with pytest.raises(NotAClient), turn(client):
        raise AssertionError("got in")
