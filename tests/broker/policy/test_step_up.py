"""What demands a second factor anew: how old it may be, of which kind, and one for each access session."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from broker.documents import AppSpec, RoleSpec, ServerSpec, parse_mapping, to_document
from broker.errors import Invalid
from broker.policy import Access, Attempt, Denial, Login, Permit, Reason, decide, explain, terms_of_use
from broker.policy.role import MfaOptions
from broker.policy.terms import mfa_terms, strictest, terms_of_resource
from tests.broker.policy.cast import ALICE, BUILD_BOT, DB, GRAFANA, LOGIN, NOW, admin, grant, reason_of, ssh, web

OPEN = (
    "allow: {logins: [root], server_labels: {'*': '*'}, app_labels: {'*': '*'},"
    " rules: [{resources: ['*'], verbs: ['*']}]}"
)
PER_SESSION = "options: {mfa_per_session: true}\n" + OPEN
BATCH = "options: {mfa_per_session: true, mfa_reuse: 10m}\n" + OPEN
PLAIN = grant(OPEN)
OWN, SHARED = grant(PER_SESSION, name="own"), grant(BATCH, name="batch")


def given(mfa_at: float | None, spent_at: float | None = None, *amr: str) -> Login:
    return replace(LOGIN, mfa_at=mfa_at, mfa_spent_at=spent_at, amr=frozenset(amr or ("pwd", "otp")))


def opening(login: Login, access: Access | None = None) -> Attempt:
    return replace(web(replace(ALICE, login=login)), access=access)


@pytest.mark.parametrize(
    ("held", "mfa_at", "spent_at", "reason"),
    [
        (OWN, None, None, Reason.MFA_REQUIRED),
        (OWN, NOW - 300, None, Reason.MFA_TOO_OLD),
        (OWN, NOW - 299, None, Reason.ROLE_ALLOWS),
        (OWN, NOW - 1, NOW - 1, Reason.MFA_SPENT),
        (OWN, NOW - 1, NOW, Reason.MFA_SPENT),
        (OWN, NOW - 1, NOW + 3600, Reason.MFA_SPENT),  # spent, and then the clock was set back
        (OWN, NOW - 301, NOW - 301, Reason.MFA_TOO_OLD),
        (SHARED, NOW - 300, None, Reason.MFA_TOO_OLD),
        (SHARED, NOW - 299, None, Reason.ROLE_ALLOWS),
        (SHARED, NOW - 800, NOW - 599, Reason.ROLE_ALLOWS),
        (SHARED, NOW - 800, NOW - 600, Reason.MFA_TOO_OLD),
        (SHARED, NOW - 800, NOW - 601, Reason.MFA_TOO_OLD),
        (SHARED, NOW + 5, None, Reason.ROLE_ALLOWS),  # given by a machine whose clock is ahead
    ],
)
def test_a_new_access_session_wants_a_confirmation_of_its_own(
    held: object, mfa_at: float | None, spent_at: float | None, reason: Reason
) -> None:
    """M22: within five minutes and once, or for a batch; to the second."""
    for attempt in (
        opening(given(mfa_at, spent_at)),
        replace(ssh(), subject=replace(ALICE, login=given(mfa_at, spent_at))),
    ):
        assert reason_of(attempt, [held]) is reason  # type: ignore[list-item]
        assert explain(attempt, [held]).decision == decide(attempt, [held])  # type: ignore[list-item]


def test_a_session_that_began_with_its_own_goes_on_and_one_without_does_not() -> None:
    """S11: a role that begins to demand it stops the sessions that run, however fresh the login's confirmation is."""
    old, fresh = given(NOW - 7200, NOW - 7000), given(NOW - 1)
    assert reason_of(opening(old, Access(NOW - 7000)), [OWN]) is Reason.ROLE_ALLOWS
    assert reason_of(opening(fresh, Access()), [OWN]) is Reason.MFA_SPENT
    assert reason_of(opening(fresh, Access()), [PLAIN]) is Reason.ROLE_ALLOWS


def test_within_a_session_the_age_still_counts() -> None:
    both = grant("options: {mfa_per_session: true, mfa_verification_interval: 1h}\n" + OPEN)
    assert reason_of(opening(given(NOW - 3599), Access(NOW - 3599)), [both]) is Reason.ROLE_ALLOWS
    assert reason_of(opening(given(NOW - 3600), Access(NOW - 3600)), [both]) is Reason.MFA_TOO_OLD


def test_of_several_roles_the_strictest_counts() -> None:
    login = given(NOW - 60, NOW - 30)
    assert reason_of(opening(login), [PLAIN]) is Reason.ROLE_ALLOWS
    assert reason_of(opening(login), [PLAIN, SHARED]) is Reason.ROLE_ALLOWS
    assert reason_of(opening(login), [SHARED, OWN]) is Reason.MFA_SPENT
    assert reason_of(opening(login), [OWN, PLAIN]) is Reason.MFA_SPENT


def test_what_a_resource_demands_counts_whichever_role_allows() -> None:
    demanding = {
        "mfa-too-old": MfaOptions(mfa_verification_interval=120.0),
        "mfa-kind": MfaOptions(require_session_mfa="phishing-resistant"),
        "mfa-spent": MfaOptions(mfa_per_session=True),
    }
    login = given(NOW - 200, NOW - 100)
    for reason, options in demanding.items():
        app = replace(GRAFANA, terms=terms_of_resource(options))
        server = replace(DB, terms=terms_of_resource(options))
        attempts = [replace(opening(login), resource=app), replace(ssh(replace(ALICE, login=login)), resource=server)]
        for attempt in attempts:
            assert str(reason_of(attempt, [PLAIN])) == reason
            explained = explain(attempt, [PLAIN])
            assert (explained.tried[0].outcome, str(explained.tried[0].failed)) == ("terms-not-met", reason)
            assert attempt.resource.name in explained.tried[0].text
            assert isinstance(decide(replace(attempt, resource=replace(attempt.resource, terms=None)), [PLAIN]), Permit)


def test_the_merge_is_the_strictest_of_both_for_every_pair() -> None:
    """R16: terms of a role and of a resource, either way round, are those of two roles."""
    options = [
        MfaOptions(
            require_session_mfa=level,  # type: ignore[arg-type]
            mfa_verification_interval=within,
            mfa_per_session=own,
            mfa_reuse=reuse,
        )
        for level, within, (own, reuse) in product(
            (None, "yes", "phishing-resistant"), (None, 60.0, 9000.0), ((None, None), (True, None), (True, 600.0))
        )
    ]
    for one, other in product(options, options):
        merged = strictest([mfa_terms(one), mfa_terms(other)])
        assert merged == strictest([mfa_terms(other), mfa_terms(one)])
        for single in (mfa_terms(one), mfa_terms(other)):
            assert merged.mfa_within <= single.mfa_within
            assert merged.mfa_reuse <= single.mfa_reuse
            assert merged.phishing_resistant >= single.phishing_resistant


def test_the_kind_of_the_newest_second_factor_is_what_counts() -> None:
    """M15: denied, and only a phishing-resistant one would lift it, also where it is its age that fails first."""
    resistant = grant("options: {require_session_mfa: phishing-resistant, mfa_verification_interval: 5m}\n" + OPEN)
    kind = decide(opening(given(NOW - 10, None, "pwd", "otp")), [resistant])
    old = decide(opening(given(NOW - 400, None, "pwd", "hwk")), [resistant])
    assert kind == Denial((Reason.MFA_KIND,), phishing_resistant=True)
    assert old == Denial((Reason.MFA_TOO_OLD,), phishing_resistant=True)
    assert isinstance(decide(opening(given(NOW - 10, None, "pwd", "hwk")), [resistant]), Permit)


def test_what_confirming_cannot_lift_is_not_said_to_be() -> None:
    assert decide(opening(given(NOW - 400)), [OWN]).confirmable  # type: ignore[union-attr]
    for attempt, held in ((web(None), [OWN]), (web(), []), (web(path="//"), [OWN])):
        decision = decide(attempt, held)
        assert isinstance(decision, Denial)
        assert not decision.confirmable
    assert not Denial(()).confirmable


def test_a_machine_gives_no_second_factor_and_is_given_nothing() -> None:
    assert reason_of(ssh(BUILD_BOT), [PLAIN]) is Reason.ROLE_ALLOWS
    assert reason_of(ssh(BUILD_BOT), [OWN]) is Reason.MFA_REQUIRED


def test_administration_begins_no_session_but_wants_the_same() -> None:
    """M22: of two that hold one confirmation, neither door asks less."""
    for mfa_at, spent_at in ((NOW - 400, None), (NOW - 10, NOW - 5), (NOW - 10, None)):
        subject = replace(ALICE, login=given(mfa_at, spent_at))
        reasons = {reason_of(attempt, [OWN]) for attempt in (web(subject), ssh(subject), admin("role.update", subject))}
        assert len(reasons) == 1


def test_a_public_path_asks_nobody() -> None:
    app = replace(GRAFANA, terms=terms_of_resource(MfaOptions(mfa_per_session=True)))
    attempt = replace(web(replace(ALICE, login=given(NOW - 4000)), path="/health"), resource=app)
    assert reason_of(attempt, [PLAIN]) is Reason.PUBLIC_PATH


def test_a_permit_says_for_how_long_its_confirmation_may_be_used() -> None:
    for held, reuse in (([PLAIN], float("inf")), ([SHARED], 600.0), ([SHARED, OWN], 0.0)):
        for attempt in (opening(given(NOW - 1)), ssh(replace(ALICE, login=given(NOW - 1)))):
            decision = decide(attempt, held)
            assert isinstance(decision, Permit)
            assert decision.mfa_reuse == reuse


def test_a_credential_for_many_paths_hears_all_roles_that_open_one() -> None:
    narrow = grant(
        "options: {mfa_per_session: true}\nallow: {app_labels: {'*': '*'}, paths: ['/admin/*']}", name="narrow"
    )
    elsewhere = grant("options: {mfa_per_session: true}\nallow: {app_labels: {env: [dev]}}", name="elsewhere")
    over = grant(PER_SESSION, name="over", until=NOW)
    assert terms_of_use(web(), [PLAIN, elsewhere, over]).mfa_reuse == float("inf")
    assert terms_of_use(web(), [PLAIN, narrow]).mfa_reuse == 0


MFA = {
    "require_session_mfa": "phishing-resistant",
    "mfa_verification_interval": "15m",
    "mfa_per_session": True,
    "mfa_reuse": "10m",
}


@pytest.mark.parametrize("kind", ["role", "app", "server"])
def test_the_same_keys_stand_in_roles_apps_and_servers_and_are_written_back(kind: str) -> None:
    own = {"role": {"options": MFA}, "app": {"uri": "http://a:1", **MFA}, "server": {"addr": "a:22", **MFA}}[kind]
    spec = parse_mapping(kind, {"kind": kind, "metadata": {"name": "x"}, "spec": own})
    assert isinstance(spec, RoleSpec | AppSpec | ServerSpec)
    mfa = spec.options if isinstance(spec, RoleSpec) else spec.mfa
    assert mfa_terms(mfa).mfa_reuse == 600
    assert to_document(spec)["spec"] == own
    bare = {"role": {}, "app": {"uri": "http://a:1"}, "server": {"addr": "a:22"}}[kind]
    silent = parse_mapping(kind, {"kind": kind, "metadata": {"name": "x"}, "spec": bare})
    assert not isinstance(silent, AppSpec | ServerSpec) or terms_of_resource(silent.mfa) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mfa_reuse": "10m"}, "means nothing without mfa_per_session"),
        ({"mfa_per_session": False, "mfa_reuse": "10m"}, "means nothing without mfa_per_session"),
        ({"mfa_per_session": True, "mfa_reuse": "61m"}, "at most 1h"),
        ({"mfa_per_session": True, "mfa_reuse": "0s"}, "longer than nothing"),
        ({"mfa_per_session": "always"}, "true or false"),
        ({"mfa_per_session": None}, "has no value"),
        ({"require_session_mfa": "hardware"}, "no, yes or phishing-resistant"),
        ({"mfa_verification_interval": "soon"}, "not a duration"),
        ({"mfa_persession": True}, "mfa_per_session"),
    ],
)
@pytest.mark.parametrize("kind", ["role", "app", "server"])
def test_a_demand_that_cannot_be_meant_is_refused_in_words(kind: str, wrong: dict[str, object], words: str) -> None:
    own: Any = {
        "role": {"options": wrong},
        "app": {"uri": "http://a:1", **wrong},
        "server": {"addr": "a:22", **wrong},
    }[kind]
    with pytest.raises(Invalid) as refused:
        parse_mapping(kind, {"kind": kind, "metadata": {"name": "x"}, "spec": own})
    assert words in " ".join(str(problem) for problem in refused.value.problems)
