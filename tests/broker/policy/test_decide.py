"""The decision: the table of cases, then who may ask at all, the order of things, and the terms of a permit."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from broker.policy import (
    Attempt,
    Denial,
    Lock,
    Locks,
    Permit,
    Reason,
    Resource,
    RoleSpec,
    Rules,
    Subject,
    compile_role,
    decide,
    explain,
)
from tests.broker.policy.cast import (
    ALICE,
    BARE,
    BUILD_BOT,
    CHARLIE,
    DB,
    GRAFANA,
    LOGIN,
    NOW,
    admin,
    at,
    grant,
    reason_of,
    ssh,
    web,
)

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text())
OPEN = "allow: {logins: [root], server_labels: {'*': '*'}, app_labels: {'*': '*'}}"
SIGNED_IN = ("certificate.issue", "console.open")


def attempt_of(case: dict[str, Any]) -> Attempt:
    if "ssh" in case:
        return ssh(login=case["ssh"], server=replace(DB, labels=case.get("labels", DB.labels)))
    if "get" in case:
        return web(path=case["get"], method=case.get("method", "GET"))
    return admin(case["do"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_the_table_of_cases(case: dict[str, Any]) -> None:
    """R01 R12 R13 P18 P22 M15: what each pattern, rule, condition and option means. `explain` tells the same story."""
    held = grant(yaml.safe_dump(case["role"], width=10_000))
    attempt = attempt_of(case)
    assert reason_of(attempt, [held]) == case["reason"]
    explained = explain(attempt, [held])
    assert explained.decision == decide(attempt, [held])
    assert (explained.tried[0].outcome == "allows") == (case["reason"] == "role-allows")


def test_nobody_may_do_anything_without_a_role() -> None:
    """R01: zero roles."""
    for attempt in (ssh(), web(), admin("role.list"), admin("event.read")):
        assert decide(attempt, []) == Denial((Reason.NO_ROLE,))


def test_an_unknown_action_is_denied() -> None:
    """R01: unknown action."""
    assert reason_of(replace(ssh(), action="ssh.sessions"), [grant(OPEN)]) is Reason.UNKNOWN_ACTION


@pytest.mark.parametrize("resource", [GRAFANA, replace(DB, name=""), Resource("role", "x", "x")])
def test_a_resource_of_another_kind_is_unknown(resource: Resource) -> None:
    """R01: unknown resource."""
    assert reason_of(replace(ssh(), resource=resource), [grant(OPEN)]) is Reason.UNKNOWN_RESOURCE


@pytest.mark.parametrize("kind", ["role", "binding", "user", "group", "app", "server", "lock", "session", "event"])
def test_what_is_listed_has_no_name(kind: str) -> None:
    """Only the use of an app or a server must say which; administration asks about all of a kind, too."""
    rules = grant(f"allow: {{rules: [{{resources: [{kind}], verbs: [list]}}]}}")
    assert reason_of(admin(f"{kind}.list", name=""), [rules]) is Reason.ROLE_ALLOWS


def test_an_engine_that_breaks_denies() -> None:
    """R01: an exception inside the decision is a denial, and says no more than its kind."""
    broken = replace(ALICE, login=replace(LOGIN, expires_at="soon"))  # type: ignore[arg-type]
    assert decide(ssh(broken), [grant(OPEN)]) == Denial((Reason.POLICY_ERROR,), detail="TypeError")


@pytest.mark.parametrize(
    "subject, reason",
    [
        (None, Reason.NOT_SIGNED_IN),
        (replace(ALICE, login=None), Reason.NOT_SIGNED_IN),
        (replace(ALICE, active=False), Reason.USER_DISABLED),
        (replace(ALICE, login=replace(LOGIN, expires_at=NOW)), Reason.SESSION_EXPIRED),
        (replace(ALICE, login=replace(LOGIN, mfa_at=None)), Reason.MFA_REQUIRED),
        (replace(BUILD_BOT, active=False), Reason.USER_DISABLED),
    ],
)
def test_who_is_not_in_good_standing_may_do_nothing(subject: Subject | None, reason: Reason) -> None:
    """S10 M01: the same for every action, those that need no role included."""
    attempts = [ssh(subject), web(subject), admin("role.read", subject)]
    attempts += [replace(ssh(subject), action=action) for action in SIGNED_IN]
    for attempt in attempts:
        assert reason_of(attempt, [grant(OPEN)]) is reason


def test_signed_in_is_enough_for_an_identity_certificate_and_the_console() -> None:
    for action in SIGNED_IN:
        decision = decide(replace(ssh(CHARLIE), action=action), [])
        assert isinstance(decision, Permit)
        assert decision.reason is Reason.SIGNED_IN


def test_an_identity_certificate_lives_an_hour_at_most_and_never_longer_than_the_login_session() -> None:
    """C06."""
    issue = replace(ssh(), action="certificate.issue")
    assert decide(issue, []).max_ttl == 3600  # type: ignore[union-attr]
    soon = replace(ALICE, login=replace(LOGIN, expires_at=NOW + 100))
    assert decide(replace(issue, subject=soon), []).max_ttl == 100  # type: ignore[union-attr]


def test_machines_open_no_console() -> None:
    assert reason_of(replace(ssh(BUILD_BOT), action="console.open"), [grant(OPEN)]) is Reason.ACTION_NOT_ALLOWED


def test_a_machine_needs_no_second_factor_unless_a_role_asks_for_one() -> None:
    assert reason_of(ssh(BUILD_BOT), [grant(OPEN, BUILD_BOT)]) is Reason.ROLE_ALLOWS
    strict = grant("options: {require_session_mfa: yes}\n" + OPEN, BUILD_BOT)
    assert reason_of(ssh(BUILD_BOT), [strict]) is Reason.MFA_REQUIRED


def test_a_machine_gets_no_terminal_unless_a_role_says_so() -> None:
    assert not decide(ssh(BUILD_BOT), [grant(OPEN)]).pty  # type: ignore[union-attr]
    assert decide(ssh(BUILD_BOT), [grant("options: {pty: true}\n" + OPEN)]).pty  # type: ignore[union-attr]
    assert decide(ssh(ALICE), [grant(OPEN)]).pty  # type: ignore[union-attr]


@pytest.mark.parametrize("target", ["user", "group", "role", "server", "login", "login_session"])
def test_a_lock_beats_every_role(target: str) -> None:
    """S10: whatever the lock names; the message is told, an ended lock is not there."""
    name = {"user": "alice", "group": "ops", "role": "tested", "server": "db-1", "login": "root"}
    lock = Lock("1", target, name.get(target, LOGIN.id), NOW + 1, "laptop stolen")  # type: ignore[arg-type]
    assert decide(ssh(), [grant(OPEN)], Locks([lock])) == Denial((Reason.LOCKED,), detail="laptop stolen")
    assert reason_of(ssh(at=NOW + 1), [grant(OPEN)], Locks([lock])) is Reason.ROLE_ALLOWS
    other = replace(lock, name="somebody-else")
    assert reason_of(ssh(), [grant(OPEN)], Locks([other])) is Reason.ROLE_ALLOWS


def test_a_lock_on_an_app_closes_its_public_paths_too() -> None:
    locks = Locks([Lock("1", "app", "grafana")])
    assert reason_of(web(None, "/health"), [], locks) is Reason.LOCKED
    assert reason_of(web(None, "/health"), []) is Reason.PUBLIC_PATH


def test_a_locked_app_can_still_be_administered() -> None:
    rules = grant("allow: {rules: [{resources: [app], verbs: [update]}]}")
    locks = Locks([Lock("1", "app", "grafana")])
    assert reason_of(admin("app.update", name="grafana"), [rules], locks) is Reason.ROLE_ALLOWS


def test_a_lock_on_a_role_that_is_no_longer_held_does_not_lock() -> None:
    expired = grant(OPEN, name="old", until=NOW)
    assert reason_of(ssh(), [expired, grant(OPEN)], Locks([Lock("1", "role", "old")])) is Reason.ROLE_ALLOWS


def test_public_paths_need_nobody_and_all_others_do() -> None:
    assert reason_of(web(None, "/health"), []) is Reason.PUBLIC_PATH
    assert reason_of(web(None, "/assets/app.js"), []) is Reason.PUBLIC_PATH
    assert reason_of(web(None, "/healthy"), []) is Reason.NOT_SIGNED_IN
    assert reason_of(web(None, "/HEALTH"), []) is Reason.NOT_SIGNED_IN
    assert reason_of(web(None, "/assets/../secret"), []) is Reason.AMBIGUOUS_PATH


def test_on_a_public_path_a_role_that_allows_is_told_first() -> None:
    assert reason_of(web(ALICE, "/health"), [grant(OPEN)]) is Reason.ROLE_ALLOWS
    assert reason_of(web(ALICE, "/health"), []) is Reason.PUBLIC_PATH


def test_a_permit_on_a_public_path_makes_no_credential() -> None:
    decision = decide(web(None, "/health"), [])
    assert isinstance(decision, Permit)
    assert decision.max_ttl == 0
    assert decision.roles == ()


def test_a_binding_ends_to_the_second() -> None:
    """R19: one second before, and at the end; in between only time passes."""
    held = grant(OPEN, until=NOW + 60)
    assert reason_of(ssh(at=NOW + 59), [held]) is Reason.ROLE_ALLOWS
    assert reason_of(ssh(at=NOW + 60), [held]) is Reason.BINDING_EXPIRED
    assert reason_of(ssh(at=NOW + 61), [held]) is Reason.BINDING_EXPIRED


def test_the_deny_rules_of_an_expired_binding_are_gone_with_it() -> None:
    denying = grant("deny: {logins: [root]}", until=NOW + 60)
    assert reason_of(ssh(at=NOW + 59), [grant(OPEN), denying]) is Reason.DENIED_BY_ROLE
    assert reason_of(ssh(at=NOW + 60), [grant(OPEN), denying]) is Reason.ROLE_ALLOWS


@pytest.mark.parametrize(
    "moment, inside",
    [
        ("2027-03-27T07:59:59Z", False),  # winter: 09:00 in Berlin is 08:00 UTC
        ("2027-03-27T08:00:00Z", True),
        ("2027-03-28T06:59:59Z", False),  # the clocks went forward that night: now it is 07:00 UTC
        ("2027-03-28T07:00:00Z", True),
        ("2027-03-28T15:59:59Z", True),
        ("2027-03-28T16:00:00Z", False),
        ("2027-10-31T07:59:59Z", False),  # and back
        ("2027-10-31T08:00:00Z", True),
    ],
)
def test_hours_follow_the_zone_across_the_change_of_clocks(moment: str, inside: bool) -> None:
    """R19: DST, to the second."""
    held = grant("allow: {app_labels: {'*': '*'}, conditions: ['hours(\"09:00\", \"18:00\", \"Europe/Berlin\")']}")
    now = datetime.fromisoformat(moment).timestamp()
    login = replace(LOGIN, started_at=now - 60, mfa_at=now - 60, expires_at=now + 60)
    attempt = replace(web(replace(ALICE, login=login)), context=at(now))
    assert reason_of(attempt, [held]) is (Reason.ROLE_ALLOWS if inside else Reason.CONDITION_FALSE)


def test_a_permit_ends_with_whatever_ends_first() -> None:
    """C06: login session, binding, age of the session, age of the second factor."""
    cases = [
        (grant(OPEN), LOGIN.expires_at),
        (grant(OPEN, until=NOW + 1000), NOW + 1000),
        (grant("options: {max_session_ttl: 20m}\n" + OPEN), NOW + 600),
        (grant("options: {mfa_verification_interval: 10m}\n" + OPEN), NOW + 300),
    ]
    for held, end in cases:
        decision = decide(web(), [held])
        assert isinstance(decision, Permit)
        assert decision.ends_at == end
        assert decision.max_ttl == end - NOW
        assert decision.until == NOW + 30


def test_a_permit_is_asked_again_after_half_a_minute_or_at_its_end() -> None:
    decision = decide(ssh(), [grant(OPEN, until=NOW + 10)])
    assert isinstance(decision, Permit)
    assert (decision.until, decision.ends_at, decision.max_ttl) == (NOW + 10, NOW + 10, 10)


def test_an_access_certificate_lives_five_minutes_at_most() -> None:
    """C06."""
    assert decide(ssh(), [grant(OPEN)]).max_ttl == 300  # type: ignore[union-attr]


def test_several_allowing_roles_give_the_strictest_terms() -> None:
    lax = grant(
        "options: {forward_agent: true, port_forwarding: true, max_session_ttl: 10h, pin_source_ip: false}\n" + OPEN
    )
    strict = grant("options: {forward_agent: false, max_session_ttl: 11m, pin_source_ip: true}\n" + OPEN, name="strict")
    alone, both = decide(ssh(), [lax]), decide(ssh(), [lax, strict])
    assert isinstance(alone, Permit)
    assert isinstance(both, Permit)
    assert (alone.forward_agent, alone.pin_source, alone.ends_at) == (True, False, LOGIN.started_at + 36_000)
    assert (both.forward_agent, both.pin_source, both.ends_at) == (False, True, LOGIN.started_at + 660)
    assert both.forward_ports  # the strict role says nothing about it
    assert both.roles == ("tested", "strict")


def test_the_terms_of_a_role_that_does_not_allow_the_attempt_do_not_count() -> None:
    elsewhere = grant("options: {max_session_ttl: 1m}\nallow: {logins: [root], server_labels: {env: dev}}")
    assert reason_of(ssh(), [grant(OPEN), elsewhere]) is Reason.ROLE_ALLOWS


def test_what_no_role_mentions_is_narrow() -> None:
    decision = decide(ssh(), [grant(OPEN)])
    assert isinstance(decision, Permit)
    forwards = (decision.forward_agent, decision.forward_ports, decision.forward_x11)
    assert forwards == (False, False, False)
    assert decision.pin_source
    assert decision.file_copy


def test_one_direction_of_port_forwarding_is_not_both() -> None:
    one = grant("options: {ssh_port_forwarding: {local: {enabled: true}, remote: {enabled: false}}}\n" + OPEN)
    decision = decide(ssh(), [one])
    assert isinstance(decision, Permit)
    assert (decision.forward_local, decision.forward_remote, decision.forward_ports) == (True, False, False)


def test_the_reason_told_first_is_that_of_the_role_that_came_nearest() -> None:
    far = grant("allow: {logins: [root], server_labels: {env: dev}}")
    near = grant("allow: {logins: [postgres], server_labels: {env: prod}}")
    assert decide(ssh(), [far, near]) == Denial((Reason.LOGIN_NOT_ALLOWED, Reason.LABELS_DO_NOT_MATCH))


def test_a_trait_is_never_a_pattern() -> None:
    """R13 C04: `*`, braces, commas, newlines, regular expressions and very long values are text or nothing."""
    spec = RoleSpec(
        "tested",
        allow=Rules(
            logins=("{{external.logins}}",), server_labels={"team": ("{{external.team}}", "x-{{external.team}}-*")}
        ),
    )
    hostile = ("*", "^.*$", "{{external.other}}", "alice,root", "root\n", "-oProxyCommand=x", "r*", "a" * 10_240, "")
    held = compile_role(spec, {"logins": hostile, "team": hostile, "other": ("red",)})
    for login in ("root", "alice", "*", "alice,root", "root\n", "-oProxyCommand=x", "", "a" * 10_240):
        assert reason_of(ssh(login=login, server=replace(DB, labels={"team": "*"})), [held]) is Reason.LOGIN_NOT_ALLOWED
    for team in ("red", "", "x-red-1", "x--1"):
        assert reason_of(ssh(server=replace(DB, labels={"team": team})), [held]) is Reason.LABELS_DO_NOT_MATCH


def test_an_address_cannot_be_given_a_role_by_another_spelling_of_itself() -> None:
    """L05: an IPv4 address mapped into IPv6 is the IPv4 address; what is no address is in no network."""
    inside = grant(
        "allow: {logins: [root], server_labels: {'*': '*'}, conditions: ['in_net(source.ip, \"10.0.0.0/8\")']}"
    )
    assert reason_of(ssh(address="::ffff:10.0.0.1"), [inside]) is Reason.ROLE_ALLOWS
    assert reason_of(ssh(address="::ffff:11.0.0.1"), [inside]) is Reason.CONDITION_FALSE
    for address in ("", "10.0.0.1, 10.0.0.2", "10.0.0.1\r\n", "x" * 10_240):
        assert reason_of(ssh(address=address), [inside]) is Reason.CONDITION_ERROR


def test_a_server_without_labels_is_denied_by_a_role_that_denies_everything() -> None:
    """R12: a deny rule is always evaluated."""
    held = [grant(OPEN), grant("deny: {server_labels: {'*': '*'}}", name="nothing")]
    assert decide(ssh(server=BARE), held) == Denial((Reason.DENIED_BY_ROLE,), role="nothing")
