"""Connectors as documents: who may change one, what becomes of its secret, and what goes when it goes."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from django.core import serializers
from django.db import transaction
from django.utils import timezone

from accounts import connectors
from accounts.directory import extra
from accounts.models import Connector, Group, Identity, LoginSession, Membership, ProviderFlow, SignIn, User
from accounts.services.users import disable_user, set_groups
from broker.audit.origin import system
from broker.documents import parse_text
from broker.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from broker.models import AuditEvent
from broker.services.connector_switch import set_enabled
from broker.services.connectors import fingerprint
from broker.services.documents import delete_document, list_documents, read_document, save_document
from tests.broker.cast import Cast, change

CANARY = "canary-9c41-client-secret"
OTHER = "canary-0d17-other-secret"
OIDC = """
kind: oidc
metadata: {{name: corp}}
spec: {{issuer: '{issuer}', client_id: postern, client_secret: '{secret}'}}
"""
LDAP = """
kind: ldap
metadata: {{name: directory}}
spec:
  urls: ['{url}']
  bind_dn: cn=postern,dc=example,dc=com
  bind_password: '{secret}'
  user_search: {{base: 'dc=example,dc=com'}}
"""
SCIM = "{kind: scim, metadata: {name: office}, spec: {identities_of: corp}}"


def oidc(secret: str = CANARY, issuer: str = "https://id.example.com") -> str:
    return OIDC.format(secret=secret, issuer=issuer)


def ldap(secret: str = CANARY, url: str = "ldaps://ldap.example.com") -> str:
    return LDAP.format(secret=secret, url=url)


def corp() -> Connector:
    return connectors.named("corp")


def arrived(name: str, *groups: str, source: str = "oidc:corp") -> Identity:
    """Somebody who is known by a connector, with the groups that it gives."""
    user = User.objects.by_name(name)
    assert user is not None
    connector = Connector.objects.get(name=source.partition(":")[2])
    set_groups(system("test"), user, groups, source=source)
    issuer = "https://id.example.com" if source == "oidc:corp" else source
    return Identity.objects.create(user=user, connector=connector, issuer=issuer, subject=f"sub-{name}")


def everything_written() -> str:
    """All that a reader of the database's clear columns, or of the log, could see."""
    rows: list[Any] = list(AuditEvent.objects.all())
    texts = [json.dumps([row.data, row.search, row.name, row.resource_name]) for row in rows]
    texts += [json.dumps(row.document) + repr(row) + repr(row.__dict__) for row in Connector.objects.all()]
    return "\n".join(texts)


# --- who may ----------------------------------------------------------------------------------------------------------


def test_holly_cannot_change_a_connector_even_if_a_role_says_connector_star(cast: Cast) -> None:
    """R08: whoever writes a mapping can put themselves into any group."""
    change(oidc())
    change(
        """
{kind: role, metadata: {name: keeper}, spec: {allow: {rules: [{resources: [connector], verbs: ['*']}]}}}
---
{kind: role_binding, spec: {role: keeper, user: holly}}
"""
    )
    holly = cast.holly
    assert [d["metadata"]["name"] for d in list_documents(holly.origin, holly.subject, "oidc")] == ["corp"]
    (other,) = parse_text(oidc(issuer="https://evil.example.com").replace("corp", "evil"))
    (same,) = parse_text(oidc(secret=OTHER))
    tries: list[Any] = [
        lambda: save_document(holly.origin, holly.subject, other),
        lambda: save_document(holly.origin, holly.subject, other, dry_run=True),
        lambda: save_document(holly.origin, holly.subject, same),
        lambda: set_enabled(holly.origin, holly.subject, "oidc", "corp", False),
        lambda: delete_document(holly.origin, holly.subject, "oidc", "corp"),
        lambda: delete_document(holly.origin, holly.subject, "oidc", "corp", dry_run=True),
    ]
    for attempt in tries:
        with pytest.raises(Denied, match="rights beyond your own"):
            attempt()
    assert AuditEvent.objects.filter(decision="denial", actor_name="holly").count() == len(tries)
    assert list(Connector.objects.values_list("name", flat=True)) == ["corp"]
    assert corp().secret == CANARY


@pytest.mark.parametrize("who", ["alice", "charlie", "holly"])
def test_who_has_no_right_does_not_learn_which_connectors_there_are(cast: Cast, who: str) -> None:
    change(oidc())
    actor = getattr(cast, who)
    for name in ("corp", "nothing"):
        with pytest.raises(Denied):
            read_document(actor.origin, actor.subject, "oidc", name)
        with pytest.raises(Denied):
            delete_document(actor.origin, actor.subject, "oidc", name)
    with pytest.raises(Denied):
        list_documents(actor.origin, actor.subject, "oidc")


def test_an_auditor_reads_connectors_and_changes_none(cast: Cast) -> None:
    change(oidc())
    audrey = cast.audrey
    assert read_document(audrey.origin, audrey.subject, "oidc", "corp")["spec"]["issuer"] == "https://id.example.com"
    with pytest.raises(Denied):
        set_enabled(audrey.origin, audrey.subject, "oidc", "corp", False)


def test_an_administrator_keeps_connectors(cast: Cast) -> None:
    adam = cast.adam
    (spec,) = parse_text(oidc())
    assert save_document(adam.origin, adam.subject, spec).changes[0].change == "create"
    assert corp().secret == CANARY
    assert AuditEvent.objects.get(name="connector.created").actor_name == "adam"
    with pytest.raises(NotFound):
        read_document(adam.origin, adam.subject, "ldap", "corp")


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [oidc, ldap])
def test_a_secret_is_sealed_and_read_back_as_its_fingerprint(cast: Cast, text: Any) -> None:
    """R06: neither the document, nor a diff, an event, a log line or an error holds it."""
    caught: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: caught.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        outcomes = [change(text()), change(text(OTHER)), change(text(OTHER)), change(text(CANARY), dry_run=True)]
        (spec,) = parse_text(text())
        shown = json.dumps([asdict(outcome) for outcome in outcomes]) + repr(outcomes) + repr(spec)
        said = ""
        try:
            change(text("kept:000000000000"))
        except Invalid as error:
            said = repr([error.message, error.hint, error.problems])
    finally:
        logging.getLogger().removeHandler(handler)
    assert said
    row = Connector.objects.get()
    assert row.secret == OTHER
    assert fingerprint(OTHER) in json.dumps(row.document)
    assert [outcome.unchanged for outcome in outcomes] == [0, 0, 1, 0]
    everything = everything_written() + shown + said + "\n".join(caught)
    everything += serializers.serialize("python", User.objects.all()).__repr__()
    for secret in (CANARY, OTHER):
        assert secret not in everything


def test_the_same_secret_has_the_same_fingerprint_and_another_another(cast: Cast) -> None:
    assert fingerprint(CANARY) == fingerprint(CANARY)
    assert fingerprint(CANARY) != fingerprint(OTHER)
    assert fingerprint(CANARY).startswith("kept:")
    assert len(fingerprint(CANARY)) == len("kept:") + 12


def test_what_was_read_can_be_applied_again_and_keeps_the_secret(cast: Cast) -> None:
    import yaml

    change(oidc() + "---" + ldap() + "---\n" + SCIM)
    adam = cast.adam
    documents = [
        *list_documents(adam.origin, adam.subject, "oidc"),
        *list_documents(adam.origin, adam.subject, "ldap"),
        *list_documents(adam.origin, adam.subject, "scim"),
    ]
    outcome = change(yaml.safe_dump_all(documents))
    assert (outcome.changes, outcome.unchanged) == ((), 3)
    assert [row.secret for row in Connector.objects.order_by("name")] == [CANARY, CANARY, ""]


def test_a_kept_secret_goes_along_with_another_change(cast: Cast) -> None:
    change(oidc())
    change(oidc(fingerprint(CANARY)).replace("client_id", "display: Corp, client_id"))
    assert (corp().secret, connectors.oidc_spec(corp()).display) == (CANARY, "Corp")
    event = AuditEvent.objects.get(name="connector.updated")
    assert event.data["changed"] == ["spec.display"]


def test_a_fingerprint_of_another_secret_is_an_error_with_its_line(cast: Cast) -> None:
    change(oidc())
    with pytest.raises(Invalid) as caught:
        change("\n\n" + oidc(fingerprint(OTHER)))
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("spec.client_secret", 6)
    assert "another secret is kept" in problem.message
    assert corp().secret == CANARY


def test_a_fingerprint_without_a_kept_secret_is_an_error(cast: Cast) -> None:
    for text in (oidc(fingerprint(CANARY)), ldap(fingerprint(CANARY))):
        with pytest.raises(Invalid, match="no secret is kept"):
            change(text)
    assert not Connector.objects.exists()


@pytest.mark.parametrize(
    ("made", "changed"),
    [
        (oidc(), oidc(fingerprint(CANARY), "https://evil.example.com")),
        (oidc(), oidc(fingerprint(CANARY)).replace("client_id: postern", "client_id: other")),
        (oidc(), oidc(fingerprint(CANARY)).replace("client_id", "endpoint_hosts: [evil.example.com], client_id")),
        (ldap(), ldap(fingerprint(CANARY), "ldaps://evil.example.com")),
        (ldap(), ldap(fingerprint(CANARY), "ldaps://ldap.example.com:6636")),
        (ldap(), ldap(fingerprint(CANARY)).replace("cn=postern", "cn=admin")),
    ],
)
def test_a_kept_secret_does_not_follow_to_another_receiver(cast: Cast, made: str, changed: str) -> None:
    """R06: else reading `kept:…` would be as good as reading the secret, for who may change the address."""
    change(made)
    with pytest.raises(Invalid, match="its receiver is another now"):
        change(changed)
    assert Connector.objects.get().secret == CANARY


def test_taking_tls_away_needs_the_password_again(cast: Cast) -> None:
    change(ldap(url="ldap://127.0.0.1:389").replace("urls:", "start_tls: true\n  urls:"))
    with pytest.raises(Invalid, match="its receiver is another now"):
        change(ldap(fingerprint(CANARY), url="ldap://127.0.0.1:389"))


def test_a_secret_that_a_document_leaves_out_is_gone(cast: Cast) -> None:
    change(oidc())
    outcome = change(oidc().replace(f", client_secret: '{CANARY}'", ""))
    assert [field.path for field in outcome.changes[0].fields] == ["spec.client_secret"]
    assert corp().secret == ""


# --- what documents name ----------------------------------------------------------------------------------------------


def test_a_provisioning_client_names_a_provider_there_is(cast: Cast) -> None:
    with pytest.raises(Invalid, match="there is no oidc 'corp'"):
        change(SCIM)
    change(SCIM + "\n---" + oidc())
    with pytest.raises(Conflict, match="scim office makes identities of corp"):
        delete_document(cast.adam.origin, cast.adam.subject, "oidc", "corp")
    delete_document(cast.adam.origin, cast.adam.subject, "scim", "office")
    delete_document(cast.adam.origin, cast.adam.subject, "oidc", "corp")


def test_one_name_is_one_connector(cast: Cast) -> None:
    change(oidc())
    with pytest.raises(Conflict, match="kind oidc already"):
        change(ldap().replace("name: directory", "name: corp"))


def test_an_issuer_has_one_connector(cast: Cast) -> None:
    """L15: an identity is (issuer, subject), so that at two connectors it would be unclear whose it is."""
    change(oidc())
    with pytest.raises(Conflict, match="corp has that issuer already"):
        change(oidc().replace("name: corp", "name: other"))
    assert [connector.name for connector in Connector.objects.all()] == ["corp"]
    change(oidc(secret=OTHER))  # the same one may change


def test_who_is_known_by_an_issuer_is_not_handed_to_another(cast: Cast) -> None:
    """L15: a subject is somebody only at the issuer it was read from."""
    change(oidc())
    arrived("bob")
    for text in (oidc(issuer="https://evil.example.com"), oidc().replace("client_id", "subject_claim: oid, client_id")):
        with pytest.raises(Conflict, match="they would be somebody else"):
            change(text)
    Identity.objects.all().delete()
    change(oidc(issuer="https://id2.example.com"))
    change(ldap())
    arrived("bob", source="ldap:directory")
    with pytest.raises(Conflict, match="they would be somebody else"):
        change(ldap().replace("user_search: {", "user_search: {id_attribute: uid, "))


def test_without_the_library_a_directory_is_not_switched_on(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the exact line that installs it; a directory that is off can be kept."""
    change(ldap())
    monkeypatch.setattr(extra, "available", lambda: False)
    set_enabled(cast.adam.origin, cast.adam.subject, "ldap", "directory", False)
    with pytest.raises(Unavailable, match="LDAP library") as caught:
        set_enabled(cast.adam.origin, cast.adam.subject, "ldap", "directory", True)
    assert "uv sync --extra ldap" in caught.value.hint
    assert not Connector.objects.get().enabled


# --- switching off and deleting ---------------------------------------------------------------------------------------


def via_corp(cast: Cast, who: str) -> LoginSession:
    session = getattr(cast, who).session
    assert isinstance(session, LoginSession)
    LoginSession.objects.filter(pk=session.pk).update(via="oidc:corp")
    return session


def on_the_way(user: User, connector: Connector) -> None:
    soon = timezone.now() + timedelta(minutes=10)
    SignIn.objects.create(token_hash="a", user=user, via=connector.source, expires_at=soon)
    ProviderFlow.objects.create(
        state_hash="s", browser_hash="b", connector=connector, purpose="sign-in", expires_at=soon
    )


def test_switching_off_ends_who_came_by_it_and_nobody_else(cast: Cast) -> None:
    change(oidc())
    came, stays = via_corp(cast, "bob"), cast.alice.session
    adam = cast.adam
    on_the_way(cast.bob.user, corp())
    asked = set_enabled(adam.origin, adam.subject, "oidc", "corp", False, dry_run=True)
    assert (asked.ends_sessions, asked.applied) == (1, False)
    came.refresh_from_db()
    assert came.ended_at is None
    assert SignIn.objects.count() == ProviderFlow.objects.count() == 1
    outcome = set_enabled(adam.origin, adam.subject, "oidc", "corp", False)
    came.refresh_from_db()
    stays.refresh_from_db()
    assert (outcome.ends_sessions, came.ended_reason, stays.ended_at) == (1, "connector-disabled", None)
    assert SignIn.objects.count() == ProviderFlow.objects.count() == 0
    assert not corp().enabled
    assert connectors.enabled("oidc") == []
    assert corp().secret == CANARY
    assert AuditEvent.objects.filter(name="login_session.ended", data__why="connector-disabled").count() == 1
    set_enabled(adam.origin, adam.subject, "oidc", "corp", True)
    assert corp().enabled


def test_deleting_ends_sessions_unlinks_and_takes_its_groups_and_only_those(cast: Cast) -> None:
    change(oidc())
    arrived("alice", "ops", "elsewhere")
    arrived("bob", "elsewhere")
    came = via_corp(cast, "bob")
    adam = cast.adam
    asked = delete_document(adam.origin, adam.subject, "oidc", "corp", dry_run=True)
    assert asked.ends_sessions == 1
    assert Identity.objects.count() == 2
    delete_document(adam.origin, adam.subject, "oidc", "corp")
    came.refresh_from_db()
    assert came.ended_reason == "connector-deleted"
    assert not Connector.objects.exists()
    assert not Identity.objects.exists()
    left = Membership.objects.values_list("user__username", "group__name", "source")
    assert list(left) == [("alice", "ops", "local")]
    assert Group.objects.filter(name="elsewhere").exists()
    assert User.objects.filter(username="bob", disabled_at=None).exists()
    for user in ("alice", "bob"):
        assert AuditEvent.objects.filter(name="user.identity.unlinked", resource_name=user).count() == 1
    gone = AuditEvent.objects.filter(name="group.member.removed", resource_name="elsewhere")
    assert sorted(event.data["user_name"] for event in gone) == ["alice", "bob"]
    assert "elsewhere" not in cast.alice.subject.groups
    assert "ops" in cast.alice.subject.groups


def test_whom_a_deleted_connector_disabled_another_of_its_name_does_not_let_in(cast: Cast) -> None:
    change(ldap())
    user = User.objects.get(username="bob")
    disable_user(system("test"), user, "gone there", by="ldap:directory")
    with transaction.atomic():
        delete_document(cast.adam.origin, cast.adam.subject, "ldap", "directory")
    user.refresh_from_db()
    assert (user.is_active, user.disabled_by) == (False, "")


def test_another_address_is_not_known_to_be_ill(cast: Cast) -> None:
    change(ldap())
    Connector.objects.update(problem="does not answer", checked_at=timezone.now(), failing_since=timezone.now())
    change(ldap(fingerprint(CANARY)).replace("name: directory", "name: directory, description: staff"))
    assert Connector.objects.get().problem == "does not answer"
    change(ldap(url="ldaps://ldap2.example.com"))
    row = Connector.objects.get()
    assert (row.problem, row.failing_since, row.checked_at, row.ok_at) == ("", None, None, None)
