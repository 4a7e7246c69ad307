"""Who may administer: rights do not raise themselves, and one administrator always stays."""

from __future__ import annotations

import pytest

from accounts.models import Connector, Identity, Invite, User
from accounts.services import invites
from broker.errors import Conflict, Denied, NotFound
from broker.models import AccessSession, AuditEvent, Binding, Lock, Role
from broker.services import app_sessions, factor_resets, locks, users
from broker.services.apply import Source, apply
from broker.services.documents import delete_document, read_document
from tests.broker.cast import Actor, Cast, change


def do(actor: Actor, text: str) -> None:
    apply(actor.origin, actor.subject, [Source("x.yaml", text)])


# --- the last administrator -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{kind: role_binding, spec: {role: administrator, user: adam, expires: '2099-01-01T00:00:00Z'}}",
        "{kind: role, metadata: {name: no-admin}, spec: {deny: {rules: [{resources: ['*'], verbs: ['*']}]}}}\n---\n"
        "{kind: role_binding, spec: {role: no-admin, user: adam}}",
    ],
    ids=["an administrator for a time only", "a role that denies administration"],
)
def test_no_document_may_leave_nobody_to_administer(cast: Cast, text: str) -> None:
    with pytest.raises(Conflict, match="adam is the last"):
        do(cast.adam, text)


def test_the_last_administrator_can_be_neither_removed_disabled_nor_locked(cast: Cast) -> None:
    adam = cast.adam
    for act in (
        lambda: delete_document(adam.origin, adam.subject, "user", "adam"),
        lambda: delete_document(adam.origin, adam.subject, "role_binding", "administrator:user:adam"),
        lambda: users.disable_user(adam.origin, adam.subject, "adam"),
        lambda: locks.create_lock(adam.origin, adam.subject, "user", "adam", reason="x", ttl=60),
        lambda: locks.create_lock(adam.origin, adam.subject, "role", "administrator", reason="x"),
    ):
        with pytest.raises(Conflict, match="adam is the last"):
            act()
    assert User.objects.get(username="adam").is_active
    assert not Lock.objects.exists()


def test_a_second_administrator_who_cannot_sign_in_yet_does_not_count(cast: Cast) -> None:
    do(cast.adam, "{kind: role_binding, spec: {role: administrator, user: charlie}}")
    with pytest.raises(Conflict):
        users.disable_user(cast.adam.origin, cast.adam.subject, "adam")
    User.objects.filter(username="charlie").update(password="argon2$of-charlie")
    users.disable_user(cast.adam.origin, cast.adam.subject, "adam")
    assert not User.objects.get(username="adam").is_active


# --- rights do not raise themselves -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{kind: role_binding, spec: {role: engineer, user: holly}}",
        "{kind: role_binding, spec: {role: administrator, user: holly}}",
        "{kind: role_binding, spec: {role: administrator, user: charlie}}",
        "{kind: role_binding, spec: {role: auditor, user: charlie}}",
        "{kind: user, metadata: {name: holly}, spec: {groups: [ops]}}",
        "{kind: user, metadata: {name: holly}, spec: {traits: {team: [db]}}}",
        "{kind: role_binding, spec: {role: administrator, group: ops}}",
        "{kind: role, metadata: {name: helper}, spec: {allow: {logins: [root], server_labels: {env: dev}}}}",
        "{kind: role, metadata: {name: engineer}, spec: {allow: {rules: [{resources: [lock], verbs: [create]}]}}}",
    ],
)
def test_holly_cannot_raise_rights_beyond_her_own(cast: Cast, text: str) -> None:
    """R08, R10: neither hers nor, in administration, anybody's; the attempt is on record and nothing has changed."""
    bindings, roles = set(Binding.objects.values_list("pk")), list(Role.objects.values_list("name", "document"))
    with pytest.raises(Denied, match="beyond your own"):
        do(cast.holly, text)
    assert set(Binding.objects.values_list("pk")) == bindings
    assert list(Role.objects.values_list("name", "document")) == roles
    assert AuditEvent.objects.filter(name="access.denied", actor_name="holly").count() == 1


def test_holly_cannot_relabel_a_server_into_her_own_reach(cast: Cast) -> None:
    """R09."""
    change(
        "{kind: role, metadata: {name: lab}, spec: {allow: {logins: [root], server_labels: {env: lab}}}}\n---\n"
        "{kind: role_binding, spec: {role: lab, user: holly}}"
    )
    text = "{kind: server, metadata: {name: canary-prod, labels: {env: lab}}, spec: {addr: '192.0.2.31:22'}}"
    with pytest.raises(Denied, match="root@canary-prod"):
        do(cast.holly, text)


def test_holly_cannot_make_a_way_in_to_the_administrators_account(cast: Cast) -> None:
    """R08: impersonation is a way of raising rights."""
    with pytest.raises(Denied, match="beyond your own"):
        users.invite_user(cast.holly.origin, cast.holly.subject, "adam")
    with pytest.raises(Denied, match="beyond your own"):
        factor_resets.reset_mfa(cast.holly.origin, cast.holly.subject, "adam")


def test_holly_may_do_the_work_she_is_there_for(cast: Cast) -> None:
    do(cast.holly, "{kind: role_binding, spec: {role: reader, user: charlie}}")
    do(cast.holly, "{kind: user, metadata: {name: dora}, spec: {groups: [ops]}}")
    assert users.invite_user(cast.holly.origin, cast.holly.subject, "charlie").url
    assert Binding.objects.filter(user__username="charlie", role__name="reader").exists()


# --- what a change ends -----------------------------------------------------------------------------------------------


def open_grafana(actor: Actor) -> AccessSession:
    _, access = app_sessions.issue_app_token(actor.origin, actor.session, "grafana")
    return access


def test_a_change_tells_how_many_sessions_it_ends_and_a_dry_run_ends_none(cast: Cast) -> None:
    open_grafana(cast.alice)
    open_grafana(cast.bob)
    adam = cast.adam
    told = delete_document(adam.origin, adam.subject, "role", "reader", dry_run=True)
    assert (told.ends_sessions, told.applied) == (1, False)
    assert Role.objects.filter(name="reader").exists()
    assert delete_document(adam.origin, adam.subject, "app", "grafana").ends_sessions == 2
    assert not AccessSession.objects.filter(ended_at=None).exists()


def test_removing_somebody_from_a_group_ends_what_the_group_opened(cast: Cast) -> None:
    open_grafana(cast.alice)
    adam = cast.adam
    text = "{kind: user, metadata: {name: alice}, spec: {full_name: Alice, email: alice@example.com}}"
    assert apply(adam.origin, adam.subject, [Source("x", text)]).ends_sessions == 1


def test_deleting_a_user_ends_all_and_leaves_the_record(cast: Cast) -> None:
    open_grafana(cast.alice)
    ends = delete_document(cast.adam.origin, cast.adam.subject, "user", "alice").ends_sessions
    assert ends == 2  # the login session and the app
    assert AuditEvent.objects.filter(name="user.deleted", resource_name="alice").exists()
    assert AuditEvent.objects.filter(name="app.session.started", actor_name="alice").exists()


# --- documents --------------------------------------------------------------------------------------------------------


def test_built_in_roles_can_be_neither_changed_nor_removed(cast: Cast) -> None:
    with pytest.raises(Conflict, match="built in"):
        delete_document(cast.adam.origin, cast.adam.subject, "role", "auditor")


def test_what_was_read_can_be_applied_again(cast: Cast) -> None:
    import yaml

    from broker.services.kinds import KINDS

    documents = [document for kind in KINDS.values() for document in kind.documents(None).values()]
    documents = [d for d in documents if d["metadata"]["name"] != "build_bot"]
    text = yaml.safe_dump_all(documents)
    assert apply(cast.adam.origin, cast.adam.subject, [Source("x", text)]).changes == ()


def test_reading_asks_for_the_right_before_it_looks(cast: Cast) -> None:
    """R04: whether a thing exists is told only to who may read it."""
    for name in ("grafana", "nothing"):
        with pytest.raises(Denied):
            read_document(cast.alice.origin, cast.alice.subject, "app", name)
    with pytest.raises(NotFound):
        read_document(cast.adam.origin, cast.adam.subject, "app", "nothing")


def test_who_signs_in_elsewhere_gets_no_link_that_would_outlive_that(cast: Cast) -> None:
    """L28: an invite would give them a password here, which a provider or directory cannot take back."""
    charlie = User.objects.get(username="charlie")
    User.objects.filter(pk=charlie.pk).update(password="!")
    connector = Connector.objects.create(kind="oidc", name="corp", document={})
    Identity.objects.create(user=charlie, connector=connector, issuer="https://idp.example", subject="c1")
    with pytest.raises(Conflict, match="signs in at a provider"):
        users.invite_user(cast.holly.origin, cast.holly.subject, "charlie")
    assert not Invite.objects.filter(user=charlie).exists()
    assert invites.invite_user(cast.holly.origin, charlie).url, "the machine's owner may"
