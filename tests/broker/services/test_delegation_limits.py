"""What somebody with a little administration must not get at by a detour (R08, R09). Each case was once a way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Connector, Group, Identity, Membership, User
from accounts.services.users import set_groups
from broker.audit.origin import system
from broker.errors import Denied
from broker.models import App, Server
from broker.services import users
from broker.services.apply import Source, apply
from broker.services.documents import delete_document
from broker.services.user_identities import unlink_identity
from tests.broker.cast import Actor, Cast, change

APPS = """
{kind: role, metadata: {name: keeper}, spec: {allow: {rules: [{resources: [app, server], verbs: ['*']}]}}}
---
{kind: role_binding, spec: {role: keeper, user: holly}}
"""


def do(actor: Actor, text: str) -> None:
    apply(actor.origin, actor.subject, [Source("edit.yaml", text)])


def test_an_expired_administrator_is_none(cast: Cast) -> None:
    """R08, R19: what one was until yesterday neither lifts limits nor makes a way into adam's account."""
    change("{kind: role_binding, spec: {role: administrator, user: holly, expires: '2020-01-01T00:00:00Z'}}")
    with pytest.raises(Denied):
        do(cast.holly, "{kind: role_binding, spec: {role: engineer, user: holly}}")
    with pytest.raises(Denied):
        users.invite_user(cast.holly.origin, cast.holly.subject, "adam")


def test_an_administrator_who_is_denied_something_is_not_a_full_one(cast: Cast) -> None:
    """R08: adam may not change roles, so he must not take away what says so."""
    change(
        "{kind: role, metadata: {name: no-roles}, spec: {deny: {rules: [{resources: [role], verbs: ['*']}]}}}\n---\n"
        "{kind: role_binding, spec: {role: administrator, user: bob}}\n---\n"
        "{kind: role_binding, spec: {role: no-roles, user: adam}}"
    )
    with pytest.raises(Denied):
        delete_document(cast.adam.origin, cast.adam.subject, "role_binding", "no-roles:user:adam")


def test_what_ran_out_for_somebody_else_is_not_given_back(cast: Cast) -> None:
    """R08: a binding that ended is no right its holder has."""
    change("{kind: role_binding, spec: {role: administrator, user: charlie, expires: '2020-01-01T00:00:00Z'}}")
    with pytest.raises(Denied):
        do(cast.holly, "{kind: role_binding, spec: {role: administrator, user: charlie}}")


@pytest.mark.parametrize(
    "text",
    [
        "{kind: role, metadata: {name: night}, spec: {allow: {rules: [{resources: [lock], verbs: ['*']}]}}}",
        "{kind: role, metadata: {name: no-locks}, spec: {}}",
    ],
    ids=["condition", "deny"],
)
def test_what_limits_somebody_elses_administration_is_not_taken_away(cast: Cast, text: str) -> None:
    """R08: holly has no lock.create, so she must not make charlie's unconditional."""
    change(
        "{kind: role, metadata: {name: night}, spec: {allow: {rules: [{resources: [lock], verbs: ['*']}],"
        " conditions: ['now.hour < 4']}}}\n---\n"
        "{kind: role, metadata: {name: no-locks}, spec: {deny: {rules: [{resources: [lock], verbs: [create]}]}}}\n---\n"
        "{kind: role_binding, spec: {role: night, user: charlie}}\n---\n"
        "{kind: role_binding, spec: {role: no-locks, user: charlie}}"
    )
    with pytest.raises(Denied):
        do(cast.holly, text)


def test_a_disabled_administrator_is_not_enabled_by_a_helper(cast: Cast) -> None:
    """R08: enabling hands out what the user may do, like an invite."""
    change("{kind: role_binding, spec: {role: administrator, user: bob}}")
    users.disable_user(system("test"), cast.adam.subject, "bob")
    with pytest.raises(Denied):
        users.enable_user(cast.holly.origin, cast.holly.subject, "bob")
    assert users.enable_user(cast.adam.origin, cast.adam.subject, "bob")


@pytest.mark.parametrize("spec", ["groups: [oncall]", "email: ceo@example.com"])
def test_what_conditions_and_apps_know_one_by_is_not_changed_by_oneself(cast: Cast, spec: str) -> None:
    """R08: groups stand in conditions, groups and e-mail address are what apps are told."""
    change(
        "{kind: group, metadata: {name: oncall}}\n---\n"
        "{kind: role, metadata: {name: pager}, spec: {allow: {server_labels: {env: prod}, logins: [root],"
        " conditions: ['\"oncall\" in user.groups']}}}\n---\n"
        "{kind: role_binding, spec: {role: pager, user: holly}}"
    )
    with pytest.raises(Denied):
        do(cast.holly, f"{{kind: user, metadata: {{name: holly}}, spec: {{{spec}}}}}")


def test_a_group_of_ones_own_is_not_deleted(cast: Cast) -> None:
    """R08: a role may deny to those who are in a group, by condition."""
    change(
        "{kind: group, metadata: {name: trainees}}\n---\n"
        "{kind: user, metadata: {name: holly}, spec: {groups: [trainees]}}"
    )
    with pytest.raises(Denied):
        delete_document(cast.holly.origin, cast.holly.subject, "group", "trainees")
    assert Group.objects.filter(name="trainees").exists()


def test_a_role_that_sets_terms_is_not_dropped_by_its_holder(cast: Cast) -> None:
    """R08: of several roles the strictest terms count, so giving one up can loosen them."""
    change(
        "{kind: role, metadata: {name: strict}, spec: {options: {require_session_mfa: phishing-resistant},"
        " allow: {rules: [{resources: [server], verbs: ['*']}]}}}\n---\n"
        "{kind: role_binding, spec: {role: strict, user: holly}}"
    )
    with pytest.raises(Denied):
        delete_document(cast.holly.origin, cast.holly.subject, "role_binding", "strict:user:holly")


@pytest.mark.parametrize(
    "text",
    [
        "{kind: app, metadata: {name: canary-vault, labels: {env: prod}},"
        " spec: {uri: 'http://192.0.2.21:8200', public_paths: ['/*']}}",
        "{kind: app, metadata: {name: sealed, labels: {env: lab}}, spec: {uri: 'http://192.0.2.22'}}",
        "{kind: app, metadata: {name: lab, labels: {env: lab}}, spec: {uri: 'http://192.0.2.21:8200'}}",
        "{kind: app, metadata: {name: lab, labels: {env: lab}}, spec: {uri: 'http://192.0.2.23', host: vault.test}}",
        "{kind: app, metadata: {name: keyed, labels: {env: lab}}, spec: {uri: 'http://192.0.2.24'}}",
    ],
    ids=["public-paths", "denying-label", "upstream", "virtual-host", "second-factor"],
)
def test_a_keeper_of_apps_does_not_open_one_by_editing_it(cast: Cast, text: str) -> None:
    """R09: neither to everybody, nor by dropping the label that denies or the demand for a second factor, nor by
    putting something else behind it."""
    change(
        APPS + "---\n{kind: role, metadata: {name: lab}, spec: {allow: {app_labels: {env: lab}}}}\n---\n"
        "{kind: role, metadata: {name: unsealed}, spec: {deny: {app_labels: {sealed: 'true'}}}}\n---\n"
        "{kind: role_binding, spec: {role: lab, user: holly}}\n---\n"
        "{kind: role_binding, spec: {role: unsealed, user: holly}}\n---\n"
        "{kind: app, metadata: {name: lab, labels: {env: lab}}, spec: {uri: 'http://192.0.2.23'}}\n---\n"
        "{kind: app, metadata: {name: sealed, labels: {env: lab, sealed: 'true'}}, spec: {uri: 'http://192.0.2.22'}}\n---\n"
        "{kind: app, metadata: {name: keyed, labels: {env: lab}},"
        " spec: {uri: 'http://192.0.2.24', mfa_per_session: true}}"
    )
    before = list(App.objects.values_list("name", "document"))
    with pytest.raises(Denied):
        do(cast.holly, text)
    assert list(App.objects.values_list("name", "document")) == before


@pytest.mark.parametrize(
    "limit",
    [
        "conditions: ['in_net(source.ip, \"10.0.0.0/8\")']",
        "conditions: ['now.unix > 99999999999']",
        "conditions: ['mfa.age < 1']",
    ],
)
def test_a_server_is_not_relabelled_into_reach_while_a_condition_is_false(cast: Cast, limit: str) -> None:
    """R09: what does not open now may in an hour, or from the office."""
    change(
        APPS + "---\n{kind: role, metadata: {name: lab}, spec: {allow: {server_labels: {env: lab}, logins: [root],"
        f" {limit}}}}}}}\n---\n{{kind: role_binding, spec: {{role: lab, user: holly}}}}"
    )
    with pytest.raises(Denied):
        do(
            cast.holly,
            "{kind: server, metadata: {name: canary-prod, labels: {env: lab}}, spec: {addr: '192.0.2.31:22'}}",
        )


def test_a_condition_on_labels_is_not_met_by_relabelling(cast: Cast) -> None:
    """R09: conditions read labels too."""
    change(
        APPS + "---\n{kind: role, metadata: {name: lab}, spec: {allow: {server_labels: {'*': '*'}, logins: [root],"
        " conditions: ['resource.labels.env == \"lab\"']}}}\n---\n"
        "{kind: role_binding, spec: {role: lab, user: holly}}"
    )
    with pytest.raises(Denied):
        do(
            cast.holly,
            "{kind: server, metadata: {name: canary-prod, labels: {env: lab}}, spec: {addr: '192.0.2.31:22'}}",
        )
    assert Server.objects.get(name="canary-prod").document["metadata"]["labels"] == {"env": "prod"}


def test_a_keeper_may_keep(cast: Cast) -> None:
    """What opens nothing to oneself goes on as before, and so does a full administrator."""
    change(APPS)
    do(cast.holly, "{kind: app, metadata: {name: canary-vault, labels: {env: stage}}, spec: {uri: 'http://192.0.2.9'}}")
    do(cast.holly, "{kind: server, metadata: {name: db-2, labels: {env: dev}}, spec: {addr: '192.0.2.32:22'}}")
    do(cast.holly, "{kind: user, metadata: {name: charlie}, spec: {email: charlie@example.com, groups: [ops]}}")
    do(cast.adam, "{kind: app, metadata: {name: hello}, spec: {uri: 'http://192.0.2.9', public_paths: ['/*']}}")
    do(cast.adam, "{kind: user, metadata: {name: adam}, spec: {email: adam@example.com, groups: [ops]}}")
    later = (timezone.now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    do(cast.holly, f"{{kind: role_binding, spec: {{role: reader, user: charlie, expires: '{later}'}}}}")


@pytest.mark.parametrize("who", ["holly", "charlie"])
def test_what_a_connector_limits_somebody_by_is_not_taken_off_with_it(cast: Cast, who: str) -> None:
    """R08: the group that denies came with the account elsewhere, and would go with it."""
    change(
        "{kind: role, metadata: {name: no-locks}, spec: {deny: {rules: [{resources: [lock], verbs: ['*']}]}}}\n---\n"
        "{kind: role, metadata: {name: locks}, spec: {allow: {rules: [{resources: [lock], verbs: ['*']}]}}}\n---\n"
        "{kind: group, metadata: {name: temps}}\n---\n"
        "{kind: role_binding, spec: {role: no-locks, group: temps}}\n---\n"
        f"{{kind: role_binding, spec: {{role: locks, user: {who}}}}}"
    )
    user = User.objects.get(username=who)
    connector = Connector.objects.create(kind="oidc", name="corp", document={})
    identity = Identity.objects.create(user=user, connector=connector, issuer="https://id.example.com", subject=who)
    set_groups(system("test"), user, ["temps"], source="oidc:corp")
    with pytest.raises(Denied, match="beyond your own"):
        unlink_identity(cast.holly.origin, cast.holly.subject, who, identity.pk)
    assert Identity.objects.filter(pk=identity.pk).exists()
    assert Membership.objects.filter(user=user, source="oidc:corp").exists()
    unlink_identity(cast.adam.origin, cast.adam.subject, who, identity.pk)
    assert not Membership.objects.filter(user=user, source="oidc:corp").exists()
