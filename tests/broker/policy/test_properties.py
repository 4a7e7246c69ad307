"""What holds for every policy, whatever it says: default deny, deny beats allow, locks, and one story told twice."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy import (
    Access,
    AdminRule,
    Attempt,
    Context,
    Denial,
    Grant,
    Lock,
    Locks,
    Options,
    Permit,
    Reason,
    Resource,
    RoleSpec,
    Rules,
    Subject,
    Terms,
    compile_role,
    decide,
    explain,
)
from tests.broker.policy.cast import ALICE, LOGIN, NOW

KEYS, VALUES = ("env", "team"), ("prod", "dev", "red", "")
PATTERNS = (*VALUES, "*", "p*", "^(prod|dev)$", "{{external.team}}", "{{external.none}}")
LOGINS, PATHS, METHODS = ("root", "alice", "db"), ("/", "/admin", "/admin/x", "/api/v1"), ("GET", "POST")
CONDITIONS = ("true", "false", 'user.traits["none"][0] == "x"', 'in_net(source.ip, "10.0.0.0/8")')


def some(*items: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(items), unique=True, max_size=3).map(tuple)


LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
SELECTORS = st.one_of(
    st.just({"*": ("*",)}), st.dictionaries(st.sampled_from(KEYS), some(*PATTERNS)), st.just({"env": ("prod",)})
)
ADMIN = st.builds(AdminRule, some("role", "user", "*"), some("read", "update", "*"))


def rules(**more: st.SearchStrategy[object]) -> st.SearchStrategy[Rules]:
    parts: dict[str, st.SearchStrategy[object]] = {
        "logins": some(*LOGINS, "{{internal.logins}}"),
        "server_labels": SELECTORS,
        "app_labels": SELECTORS,
        "paths": some("/admin", "/admin/*", "/*", "/api/v1"),
        "methods": some(*METHODS),
        "rules": st.lists(ADMIN, max_size=2).map(tuple),
        "conditions": st.one_of(st.just(()), some(*CONDITIONS)),
        **more,
    }
    return st.builds(Rules, **parts)


OPTIONS = st.builds(
    Options,
    max_session_ttl=st.sampled_from((None, 300.0, 3600.0)),
    require_session_mfa=st.sampled_from((None, "no", "yes", "phishing-resistant")),
    mfa_verification_interval=st.sampled_from((None, 60.0, 900.0)),
    mfa_per_session=st.sampled_from((None, False, True)),
    mfa_reuse=st.sampled_from((None, 600.0)),
    forward_agent=st.sampled_from((None, True, False)),
    pty=st.sampled_from((None, True, False)),
)


def grants(deny: bool = True, options: bool = True) -> st.SearchStrategy[list[Grant]]:
    specs = st.builds(
        RoleSpec,
        st.sampled_from(("one", "two", "three")),
        allow=rules(),
        deny=st.one_of(st.just(Rules()), rules()) if deny else st.just(Rules()),
        options=OPTIONS if options else st.just(Options()),
    )
    until = st.sampled_from((None, NOW, NOW + 1, NOW + 100))
    return st.lists(
        st.builds(lambda spec, until: compile_role(spec, ALICE.traits, until=until), specs, until), max_size=5
    )


def resource(kind: str) -> st.SearchStrategy[Resource]:
    return st.builds(
        lambda labels, public, terms: Resource(
            kind, f"id-{kind}", f"{kind}-1", labels, public if kind == "app" else (), terms=terms
        ),
        LABELS,
        some("/admin", "/*"),
        st.sampled_from((None, None, Terms(mfa_reuse=0.0), Terms(mfa_within=60.0), Terms(phishing_resistant=True))),
    )


SUBJECTS: st.SearchStrategy[Subject | None] = st.sampled_from(
    (
        ALICE,
        ALICE,
        ALICE,
        replace(ALICE, kind="machine"),
        replace(ALICE, login=replace(LOGIN, mfa_spent_at=NOW - 100)),
        replace(ALICE, active=False),
        replace(ALICE, login=None),
        None,
    )
)
CONTEXT = st.builds(Context, st.just(NOW), st.sampled_from(("10.0.0.1", "192.168.0.1", "")))
ATTEMPTS = st.one_of(
    st.builds(Attempt, SUBJECTS, st.just("ssh.session"), resource("server"), CONTEXT, login=st.sampled_from(LOGINS)),
    st.builds(
        Attempt,
        SUBJECTS,
        st.just("app.request"),
        resource("app"),
        CONTEXT,
        access=st.sampled_from((None, Access(), Access(NOW - 50))),
        method=st.sampled_from((*METHODS, "TRACE", "PROPFIND")),
        path=st.sampled_from((*PATHS, "/a//b", "/ADMIN/")),
    ),
    st.builds(Attempt, SUBJECTS, st.just("role.update"), resource("role"), CONTEXT),
    st.builds(Attempt, SUBJECTS, st.just("console.open"), resource("app"), CONTEXT),
)
LOCKS = st.builds(
    Lock,
    st.just("1"),
    st.sampled_from(("user", "group", "role", "server", "app", "login", "login_session")),
    st.sampled_from(("alice", "ops", "one", "server-1", "app-1", "root", "session-1", "nobody")),
    st.sampled_from((None, NOW - 1, NOW + 1)),
)


def is_public(decision: object) -> bool:
    return isinstance(decision, Permit) and decision.reason is Reason.PUBLIC_PATH


@given(ATTEMPTS)
def test_without_roles_nothing_is_permitted_but_what_needs_none(attempt: Attempt) -> None:
    """R01."""
    decision = decide(attempt, [])
    if isinstance(decision, Permit):
        assert decision.reason in (Reason.PUBLIC_PATH, Reason.SIGNED_IN)
        assert decision.roles == ()


@given(ATTEMPTS, grants(), rules())
def test_adding_a_deny_rule_never_permits(attempt: Attempt, held: list[Grant], deny: Rules) -> None:
    before = decide(attempt, held)
    after = decide(attempt, [*held, compile_role(RoleSpec("denier", deny=deny), ALICE.traits)])
    if isinstance(before, Denial):
        assert isinstance(after, Denial)


@given(ATTEMPTS, grants())
def test_deny_beats_allow(attempt: Attempt, held: list[Grant]) -> None:
    """A role that denies everything leaves what needs no role, and nothing else."""
    everything = compile_role(RoleSpec("denier", deny=Rules(conditions=("true",))), {})
    for several in ([*held, everything], [everything, *held]):
        decision = decide(attempt, several)
        if isinstance(decision, Permit):
            assert decision.reason in (Reason.PUBLIC_PATH, Reason.SIGNED_IN)


@given(ATTEMPTS, grants(), st.sampled_from(("user", "group", "login_session")))
def test_a_lock_on_the_subject_beats_all(attempt: Attempt, held: list[Grant], target: str) -> None:
    """S10: public paths and what needs no role included."""
    name = {"user": "alice", "group": "ops", "login_session": "session-1"}[target]
    decision = decide(attempt, held, Locks([Lock("1", target, name)]))  # type: ignore[arg-type]
    subject = attempt.subject
    if subject is not None and (target != "login_session" or subject.login is not None):
        assert isinstance(decision, Denial)
        assert decision.reasons == (Reason.LOCKED,)


@given(ATTEMPTS, grants(), st.lists(LOCKS, max_size=3))
def test_a_lock_never_permits(attempt: Attempt, held: list[Grant], locks: list[Lock]) -> None:
    if isinstance(decide(attempt, held), Denial):
        assert isinstance(decide(attempt, held, Locks(locks)), Denial)


@given(ATTEMPTS, grants(deny=False, options=False), st.integers(0, 4))
def test_removing_a_role_that_only_allows_never_permits_more(attempt: Attempt, held: list[Grant], number: int) -> None:
    fewer = [grant for index, grant in enumerate(held) if index != number]
    if isinstance(decide(attempt, held), Denial):
        assert isinstance(decide(attempt, fewer), Denial)


@given(ATTEMPTS, grants(), st.randoms())
def test_the_order_of_roles_does_not_matter(attempt: Attempt, held: list[Grant], dice: object) -> None:
    shuffled = list(held)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = decide(attempt, held), decide(attempt, shuffled)
    if isinstance(one, Permit):
        assert isinstance(other, Permit)
        assert set(one.roles) == set(other.roles)
        assert one._replace(roles=()) == other._replace(roles=())
    else:
        assert isinstance(other, Denial)
        assert one.reasons == other.reasons


@settings(max_examples=400)
@given(ATTEMPTS, grants(), st.lists(LOCKS, max_size=2))
def test_the_explanation_tells_what_was_decided(attempt: Attempt, held: list[Grant], locks: list[Lock]) -> None:
    """R16: `decide` and `explain` cannot come apart."""
    decision = decide(attempt, held, Locks(locks))
    explained = explain(attempt, held, Locks(locks))
    assert explained.decision == decision
    assert explained.text
    outcomes = {tried.outcome for tried in explained.tried}
    if isinstance(decision, Permit):
        if decision.reason is Reason.ROLE_ALLOWS:
            assert "denies" not in outcomes
            allowed = {tried.role for tried in explained.tried if tried.outcome == "allows"}
            assert set(decision.roles) <= allowed
        return
    assert explained.hint
    reason = decision.reasons[0]
    if reason is Reason.DENIED_BY_ROLE:
        assert decision.role in {tried.role for tried in explained.tried if tried.outcome == "denies"}
    elif reason in (Reason.MFA_TOO_OLD, Reason.MFA_KIND, Reason.MFA_SPENT, Reason.SESSION_TOO_OLD):
        assert "terms-not-met" in outcomes
    elif reason in {tried.failed for tried in explained.tried}:
        assert "allows" not in outcomes or reason is Reason.MFA_REQUIRED


@given(ATTEMPTS, grants())
def test_a_permit_never_outlives_the_login_session_or_the_binding(attempt: Attempt, held: list[Grant]) -> None:
    """C06."""
    decision = decide(attempt, held)
    if isinstance(decision, Permit) and not is_public(decision):
        assert attempt.subject
        assert attempt.subject.login
        assert NOW < decision.until <= decision.ends_at <= attempt.subject.login.expires_at
        assert decision.until <= NOW + 30
        assert decision.max_ttl <= decision.ends_at - NOW


@given(st.dictionaries(st.sampled_from(KEYS), some(*PATTERNS), min_size=1), LABELS)
def test_a_missing_label_never_matches(selector: dict[str, tuple[str, ...]], labels: dict[str, str]) -> None:
    """R12."""
    held = compile_role(RoleSpec("one", allow=Rules(app_labels=selector)), ALICE.traits)
    if set(selector) - set(labels):
        assert not held.allow.apps.matches(labels)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_trait_matches_exactly_itself(value: str, label: str) -> None:
    """R13: the value of a trait is text, whatever it looks like."""
    held = compile_role(RoleSpec("one", allow=Rules(app_labels={"team": ("{{external.team}}",)})), {"team": (value,)})
    assert held.allow.apps.matches({"team": label}) == (value == label != "")
