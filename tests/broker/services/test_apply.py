"""Applying documents: all of it or nothing, twice is once, and never without an administrator."""

from __future__ import annotations

from pathlib import Path

import pytest

from accounts.models import Connector, Group, Identity, User
from broker.audit.origin import Origin, system
from broker.errors import Conflict, Denied, Invalid
from broker.models import App, AuditEvent, Binding, Role, Server
from broker.services.apply import Source, apply, plan
from tests.broker.cast import DOCUMENTS, Cast, change


def sources(text: str) -> list[Source]:
    return [Source("policy.yaml", text)]


def held() -> tuple[object, ...]:
    """All that documents describe, and how far the log is."""
    return (
        sorted(Role.objects.values_list("name", "document__spec")),
        sorted(App.objects.values_list("name", "host")),
        sorted(Server.objects.values_list("name")),
        sorted(User.objects.values_list("username", "full_name", "email")),
        sorted(Group.objects.values_list("name")),
        sorted(Binding.objects.values_list("role__name", "user__username", "group__name", "expires_at"), key=str),
    )


def test_nobody_is_not_the_system(cast: Cast) -> None:
    """R01: a missing subject is no right to anything, unless it is the system that acts."""
    with pytest.raises(Denied):
        apply(Origin(), None, sources("{kind: group, metadata: {name: x}}"))
    with pytest.raises(Denied):
        apply(Origin("person", "1", "adam"), None, sources("{kind: group, metadata: {name: x}}"))
    assert not Group.objects.filter(name="x").exists()


@pytest.mark.parametrize("who", ["alice", "bob", "charlie", "audrey"])
def test_whoever_is_no_administrator_applies_nothing(cast: Cast, who: str) -> None:
    actor = getattr(cast, who)
    with pytest.raises(Denied):
        apply(actor.origin, actor.subject, sources("{kind: role, metadata: {name: mine}, spec: {}}"))
    with pytest.raises(Denied):
        apply(actor.origin, actor.subject, sources("{kind: role, metadata: {name: mine}, spec: {}}"), dry_run=True)
    assert not Role.objects.filter(name="mine").exists()
    denials = AuditEvent.objects.filter(name="access.denied", actor_name=who)
    assert [event.data["action"] for event in denials] == ["role.create", "role.create"]


def test_applying_twice_changes_nothing_the_second_time(cast: Cast) -> None:
    before, events = held(), AuditEvent.objects.count()
    outcome = apply(cast.adam.origin, cast.adam.subject, sources(DOCUMENTS))
    assert outcome.changes == ()
    assert outcome.unchanged == 19
    assert held() == before
    assert AuditEvent.objects.count() == events


def test_a_dry_run_tells_and_changes_nothing(cast: Cast) -> None:
    before, events = held(), AuditEvent.objects.count()
    text = """
{kind: server, metadata: {name: db-1, labels: {env: prod}}, spec: {addr: '192.0.2.30:22'}}
---
{kind: group, metadata: {name: new}}
"""
    outcome = apply(cast.adam.origin, cast.adam.subject, sources(text), dry_run=True)
    assert not outcome.applied
    assert [(c.kind, c.name, c.change) for c in outcome.changes] == [
        ("group", "new", "create"),
        ("server", "db-1", "update"),
    ]
    assert [(f.path, f.before, f.after) for f in outcome.changes[1].fields] == [
        ("metadata.labels.env", "dev", "prod"),
        ("metadata.labels.name", "db-1", None),
    ]
    assert held() == before
    assert AuditEvent.objects.count() == events


@pytest.mark.parametrize(
    ("text", "line", "words", "hint"),
    [
        ("kind: role\nmetadata: {name: r}\nspec:\n  alow: {}\n", 4, "unknown key 'alow'", "did you mean 'allow'?"),
        ("kind: rol\nmetadata: {name: r}\n", 1, "kind is unknown", "did you mean 'role'?"),
        ("kind: role_binding\nspec:\n  role: enginer\n  user: bob\n", 3, "no role 'enginer'", "'engineer'?"),
        ("kind: role_binding\nspec:\n  role: reader\n  user: alise\n", 4, "no user 'alise'", "did you mean 'alice'?"),
        ("kind: user\nmetadata: {name: dora}\nspec:\n  groups:\n    - opps\n", 5, "no group 'opps'", "'ops'?"),
        ("kind: role\nmetadata:\n  name: administrator\nspec: {}\n", 3, "built in", "beside it"),
        ("kind: [\n", 2, "not YAML", ""),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_the_nearest_word(
    cast: Cast, text: str, line: int, words: str, hint: str
) -> None:
    """R15: what cannot be meant is refused when it is saved, and what was there stays."""
    before = held()
    good = "{kind: group, metadata: {name: fine}}\n"
    with pytest.raises(Invalid) as caught:
        apply(cast.adam.origin, cast.adam.subject, [Source("good.yaml", good), Source("bad.yaml", text)])
    (problem,) = caught.value.problems
    assert (problem.source, problem.line) == ("bad.yaml", line)
    assert words in problem.message
    assert hint in problem.hint
    assert held() == before


def test_two_bindings_of_the_same_under_two_names_are_refused(cast: Cast) -> None:
    text = """
{kind: role_binding, metadata: {name: one}, spec: {role: reader, user: charlie}}
---
{kind: role_binding, metadata: {name: two}, spec: {role: reader, user: charlie}}
"""
    with pytest.raises(Invalid, match="written twice"):
        plan(sources(text))


def test_one_refusal_and_nothing_is_done(cast: Cast) -> None:
    """holly may change users but no apps: not even the users change."""
    before = held()
    text = """
{kind: user, metadata: {name: dora}}
---
{kind: app, metadata: {name: evil}, spec: {uri: 'http://192.0.2.66'}}
"""
    with pytest.raises(Denied):
        apply(cast.holly.origin, cast.holly.subject, sources(text))
    assert held() == before


def test_a_failure_in_the_middle_undoes_what_went_before(cast: Cast) -> None:
    before, events = held(), AuditEvent.objects.count()
    text = """
{kind: group, metadata: {name: made-first}}
---
{kind: app, metadata: {name: other}, spec: {uri: 'http://192.0.2.66', public_addr: grafana.postern.localhost}}
"""
    with pytest.raises(Conflict, match="grafana"):
        apply(cast.adam.origin, cast.adam.subject, sources(text))
    assert held() == before
    assert AuditEvent.objects.count() == events


def test_an_app_cannot_take_our_own_address(cast: Cast) -> None:
    text = "{kind: app, metadata: {name: evil}, spec: {uri: 'http://192.0.2.66', public_addr: postern.localhost}}"
    with pytest.raises(Conflict, match="own address"):
        apply(cast.adam.origin, cast.adam.subject, sources(text))


PRUNE = "{kind: server, metadata: {name: db-1, labels: {env: dev, name: db-1}}, spec: {addr: '192.0.2.30:22'}}"


def test_prune_without_confirmation_only_lists(cast: Cast) -> None:
    before = held()
    outcome = apply(cast.adam.origin, cast.adam.subject, sources(PRUNE), prune=True)
    assert not outcome.applied
    assert [(c.kind, c.name, c.change) for c in outcome.changes] == [("server", "canary-prod", "delete")]
    assert held() == before


def test_prune_removes_what_the_files_no_longer_hold_of_their_kinds_only(cast: Cast) -> None:
    outcome = apply(cast.adam.origin, cast.adam.subject, sources(PRUNE), prune=True, confirm=True)
    assert outcome.applied
    assert [server.name for server in Server.objects.all()] == ["db-1"]
    assert App.objects.count() == 2
    assert Role.objects.filter(name="engineer").exists()


def test_prune_never_removes_built_in_roles_nor_users_who_sign_in(cast: Cast) -> None:
    text = """
{kind: role, metadata: {name: engineer}, spec: {allow: {app_labels: {env: dev}}}}
---
{kind: user, metadata: {name: charlie}}
"""
    outcome = apply(cast.adam.origin, cast.adam.subject, sources(text), prune=True, confirm=True)
    removed = {(c.kind, c.name) for c in outcome.changes if c.change == "delete"}
    assert removed == {("role", "reader"), ("role", "helper"), ("user", "holly"), ("user", "build_bot")}


def test_prune_that_would_leave_no_administrator_is_refused_whole(cast: Cast) -> None:
    before = held()
    text = "{kind: role_binding, spec: {role: reader, user: bob}}"
    with pytest.raises(Conflict, match="adam is the last"):
        apply(cast.adam.origin, cast.adam.subject, sources(text), prune=True, confirm=True)
    assert held() == before


def test_each_change_is_on_record_with_who_and_what(cast: Cast) -> None:
    text = "{kind: role, metadata: {name: reader}, spec: {allow: {logins: [read]}}}"
    apply(cast.adam.origin, cast.adam.subject, sources(text))
    role = Role.objects.get(name="reader")
    updated, summary = AuditEvent.objects.order_by("seq").filter(actor_name="adam")
    assert (updated.actor_name, updated.address, updated.resource_name) == ("adam", "192.0.2.7", "reader")
    assert updated.data["before"]["spec"]["allow"]["methods"] == ["GET"]
    assert updated.data["after"] == role.document
    assert f"role:{role.pk}" in updated.touches
    assert (summary.data["created"], summary.data["updated"], summary.data["deleted"]) == (0, 1, 0)


def test_membership_changes_touch_group_and_user(cast: Cast) -> None:
    change("{kind: user, metadata: {name: alice}, spec: {full_name: Alice, traits: {team: [db]}}}")
    removed = AuditEvent.objects.get(name="group.member.removed")
    alice, ops = User.objects.get(username="alice"), Group.objects.get(name="ops")
    assert set(removed.touches) == {f"group:{ops.pk}", f"user:{alice.pk}"}


def test_the_examples_can_be_applied(cast: Cast) -> None:
    """A newcomer's first command works as the documentation says."""
    folder = Path(__file__).parents[3] / "examples" / "policy"
    files = [Source(path.name, path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    assert len(files) >= 4
    assert apply(cast.adam.origin, cast.adam.subject, files).applied
    assert apply(cast.adam.origin, cast.adam.subject, files).changes == ()


def test_prune_never_removes_who_comes_through_a_connector(cast: Cast) -> None:
    """A directory keeps them; that a file does not name them says nothing."""
    corp = Connector.objects.create(kind=Connector.Kind.LDAP, name="corp", document={})
    charlie = User.objects.get(username="charlie")
    Identity.objects.create(user=charlie, connector=corp, issuer="ldap:corp", subject="1")
    apply(system("test"), None, sources("{kind: user, metadata: {name: adam}}"), prune=True, confirm=True)
    assert User.objects.filter(username="charlie").exists()
    assert not User.objects.filter(username="holly").exists()
