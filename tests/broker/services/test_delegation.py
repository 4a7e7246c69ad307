"""No sequence of edits by a delegated administrator raises what they may do themselves, whatever the order (R08)."""

from __future__ import annotations

import contextlib
import time

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker import live as live_state
from broker.errors import Conflict, Denied, Invalid
from broker.policy import Attempt, Context
from broker.policy.attempt import ADMIN_ACTIONS, APP_REQUEST, SSH_SESSION, Resource
from broker.services.apply import Source, apply
from tests.broker.cast import Cast, change

PEOPLE = ("holly", "charlie", "alice")
ROLES = ("engineer", "reader", "helper", "auditor", "administrator", "lab", "no-lab")
GROUPS = ("ops", "lab-people")
WORLD = """
{kind: role, metadata: {name: lab}, spec: {allow: {server_labels: {env: lab}, logins: [root, '{{external.login}}']}}}
---
{kind: role, metadata: {name: no-lab}, spec: {deny: {server_labels: {env: secret}}}}
---
{kind: group, metadata: {name: lab-people}}
---
{kind: role_binding, spec: {role: lab, user: holly}}
---
{kind: role_binding, spec: {role: no-lab, user: holly}}
---
{kind: role_binding, spec: {role: lab, group: lab-people}}
"""

bindings = st.builds(
    "{{kind: role_binding, spec: {{role: {}, {}}}}}".format,
    st.sampled_from(ROLES),
    st.sampled_from([f"user: {name}" for name in PEOPLE] + [f"group: {name}" for name in GROUPS]),
)
members = st.builds(
    "{{kind: user, metadata: {{name: {}}}, spec: {{groups: [{}], traits: {{login: [{}]}}}}}}".format,
    st.sampled_from(PEOPLE),
    st.sampled_from((*GROUPS, "")),
    st.sampled_from(("deploy", "admin")),
)
role_edits = st.builds(
    "{{kind: role, metadata: {{name: {}}}, spec: {{{}}}}}".format,
    st.sampled_from(("engineer", "reader", "helper", "lab", "no-lab", "fresh")),
    st.sampled_from(
        (
            "",
            "allow: {server_labels: {'*': '*'}, logins: [root]}",
            "allow: {app_labels: {'*': '*'}}",
            "allow: {rules: [{resources: ['*'], verbs: ['*']}]}",
            "deny: {server_labels: {env: dev}}",
        )
    ),
)
server_edits = st.builds(
    "{{kind: server, metadata: {{name: {}, labels: {{env: {}}}}}, spec: {{addr: '192.0.2.30:22'}}}}".format,
    st.sampled_from(("db-1", "canary-prod")),
    st.sampled_from(("dev", "lab", "secret")),
)
edits = st.lists(st.one_of(bindings, members, role_edits, server_edits), min_size=1, max_size=6)


def rights(cast: Cast) -> set[str]:
    """Everything holly may do now."""
    live, subject, context = live_state.current(), cast.holly.subject, Context(time.time())
    found = set()
    for action in ADMIN_ACTIONS:
        resource = Resource(action.partition(".")[0], "", "x")
        if live.decide(Attempt(subject, action, resource, context)).permitted:
            found.add(action)
    for server in live.servers.values():
        for login in ("root", "deploy", "read", "admin"):
            if live.decide(Attempt(subject, SSH_SESSION, server.resource, context, login=login)).permitted:
                found.add(f"{login}@{server.name}")
    for app in live.apps.values():
        if live.decide(Attempt(subject, APP_REQUEST, app.resource, context, method="GET", path="/")).permitted:
            found.add(app.name)
    return found


@pytest.mark.timeout(300)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(sequence=edits)
def test_no_sequence_of_edits_raises_the_rights_of_whoever_makes_them(cast: Cast, sequence: list[str]) -> None:
    """R08."""
    assert cast.holly.session.pk, "signed in before the savepoint, so that no example takes the session along"
    before = transaction.savepoint()
    live_state.forget()
    try:
        change(WORLD)
        had = rights(cast)
        for text in sequence:
            with contextlib.suppress(Denied, Conflict, Invalid):
                apply(cast.holly.origin, cast.holly.subject, [Source("edit.yaml", text)])
            gained = rights(cast) - had
            assert not gained, f"{text} gave {gained}"
    finally:
        transaction.savepoint_rollback(before)
        live_state.forget()
