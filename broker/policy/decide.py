"""The decision. Same inputs, same answer: no database, no clock, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from broker.policy.attempt import (
    ACTIONS,
    APP_REQUEST,
    CERTIFICATE_ISSUE,
    CONSOLE_OPEN,
    SSH_SESSION,
    Attempt,
    Login,
    Subject,
)
from broker.policy.criteria import NEARNESS, denying, failure_for
from broker.policy.decision import Decision, Denial
from broker.policy.grant import Grant
from broker.policy.lock import NO_LOCKS, Locks
from broker.policy.method import KNOWN
from broker.policy.path import canonical_path, path_pattern
from broker.policy.reason import Reason
from broker.policy.terms import gate_of, permit_by_roles, permit_public, permit_signed_in

_KIND_OF = {APP_REQUEST: "app", SSH_SESSION: "server"}
_NEEDS_NO_ROLE = frozenset({CERTIFICATE_ISSUE, CONSOLE_OPEN})


def decide(attempt: Attempt, grants: Sequence[Grant], locks: Locks = NO_LOCKS) -> Decision:
    """Whether an attempt is permitted, under which terms, or why not. Anything that goes wrong is a Denial."""
    try:
        return _decide(attempt, grants, locks)
    except Exception as error:
        return Denial((Reason.POLICY_ERROR,), detail=type(error).__name__)


def _decide(attempt: Attempt, grants: Sequence[Grant], locks: Locks) -> Decision:
    if refused := refusal(attempt, grants, locks):
        return refused
    path = ""
    if attempt.action == APP_REQUEST:
        if attempt.method not in KNOWN:
            return Denial((Reason.METHOD_NOT_ALLOWED,))
        found = canonical_path(attempt.path, encoded_slashes=attempt.resource.allow_encoded_slashes)
        if found is None:
            return Denial((Reason.AMBIGUOUS_PATH,))
        path = found
    decision = _decide_for_subject(attempt, grants, path)
    if isinstance(decision, Denial) and path and is_public(attempt, path):
        return permit_public(attempt)
    return decision


def refusal(attempt: Attempt, grants: Sequence[Grant], locks: Locks) -> Denial | None:
    """What stops an attempt before anything else is looked at: it makes no sense, or a lock stands."""
    action, resource = attempt.action, attempt.resource
    if action not in ACTIONS:
        return Denial((Reason.UNKNOWN_ACTION,))
    if action in _KIND_OF:
        if resource.kind != _KIND_OF[action] or not resource.name:
            return Denial((Reason.UNKNOWN_RESOURCE,))
    elif action not in _NEEDS_NO_ROLE and resource.kind != action.partition(".")[0]:
        return Denial((Reason.UNKNOWN_RESOURCE,))
    if locks and (lock := locks.on(attempt, grants)):
        return Denial((Reason.LOCKED,), detail=lock.message)
    return None


def is_public(attempt: Attempt, path: str) -> bool:
    """Whether anybody may ask for this path, signed in or not."""
    return any(path_pattern(pattern).matches(path) for pattern in attempt.resource.public_paths)


def _decide_for_subject(attempt: Attempt, grants: Sequence[Grant], path: str) -> Decision:
    standing = standing_of(attempt)
    if isinstance(standing, Denial):
        return standing
    if attempt.action in _NEEDS_NO_ROLE:
        if attempt.action == CONSOLE_OPEN and standing.subject.kind != "person":
            return Denial((Reason.ACTION_NOT_ALLOWED,))
        return permit_signed_in(attempt, standing.login)
    if denier := denying(grants, attempt, path):
        return Denial((Reason.DENIED_BY_ROLE,), role=denier.role)
    allowing, failures = sort_out(grants, attempt, path)
    if not allowing:
        return Denial(tuple(sorted(failures, key=NEARNESS.__getitem__, reverse=True)) or (Reason.NO_ROLE,))
    gate = gate_of(allowing)
    if failure := gate.failure(standing.login, attempt.context.at):
        return Denial((failure,))
    return permit_by_roles(attempt, standing.subject, allowing, gate.ends_at(standing.login))


@dataclass(frozen=True, slots=True)
class Standing:
    """A subject in good standing, with the login session that proves it."""

    subject: Subject
    login: Login


def standing_of(attempt: Attempt) -> Standing | Denial:
    """Who asks, if they are signed in, enabled, and (being a person) have given a second factor."""
    subject = attempt.subject
    if subject is None:
        return Denial((Reason.NOT_SIGNED_IN,))
    if not subject.active:
        return Denial((Reason.USER_DISABLED,))
    login = subject.login
    if login is None:
        return Denial((Reason.NOT_SIGNED_IN,))
    if attempt.context.at >= login.expires_at:
        return Denial((Reason.SESSION_EXPIRED,))
    if login.mfa_at is None and subject.kind == "person":
        return Denial((Reason.MFA_REQUIRED,))
    return Standing(subject, login)


def sort_out(grants: Sequence[Grant], attempt: Attempt, path: str) -> tuple[list[Grant], set[Reason]]:
    """The grants that allow the attempt, and why the others do not."""
    at = attempt.context.at
    failure_of = failure_for(attempt.action)
    allowing: list[Grant] = []
    failures: set[Reason] = set()
    for grant in grants:
        failure = failure_of(grant.allow, attempt, path)
        if failure is None and grant.until is not None and at >= grant.until:
            failure = Reason.BINDING_EXPIRED
        if failure is None:
            allowing.append(grant)
        else:
            failures.add(failure)
    return allowing, failures
