"""The decision. Same inputs, same answer: no database, no clock, no network."""

from __future__ import annotations

from collections.abc import Sequence

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
from broker.policy.criteria import NEARNESS, Fell, allowing, condition_failure, denying
from broker.policy.decision import Decision, Denial
from broker.policy.grant import Grant
from broker.policy.grantset import GrantSet, ready
from broker.policy.lock import NO_LOCKS, Locks
from broker.policy.method import KNOWN
from broker.policy.path import canonical_path, path_pattern
from broker.policy.reason import Reason
from broker.policy.terms import (
    MACHINE_DEFAULTS,
    PERSON_DEFAULTS,
    Terms,
    permit_by_roles,
    permit_public,
    permit_signed_in,
    strictest,
)

_NEEDS_NO_ROLE = frozenset({CERTIFICATE_ISSUE, CONSOLE_OPEN})
_KIND_OF = {
    **{action: "" if action in _NEEDS_NO_ROLE else action.partition(".")[0] for action in ACTIONS},
    APP_REQUEST: "app",
    SSH_SESSION: "server",
}
"""What kind of resource each action is about; empty where it does not matter."""
_NAMED = frozenset({APP_REQUEST, SSH_SESSION})


def decide(attempt: Attempt, grants: Sequence[Grant], locks: Locks = NO_LOCKS) -> Decision:
    """Whether an attempt is permitted, under which terms, or why not. Anything that goes wrong is a Denial.

    Who asks often about one subject keeps the grants as a `GrantSet`.
    """
    try:
        return _decide(attempt, ready(grants), locks)
    except Exception as error:
        return Denial((Reason.POLICY_ERROR,), detail=type(error).__name__)


def _decide(attempt: Attempt, held: GrantSet, locks: Locks) -> Decision:
    if refused := refusal(attempt, held, locks):
        return refused
    path = ""
    if attempt.action == APP_REQUEST:
        if attempt.method not in KNOWN:
            return Denial((Reason.METHOD_NOT_ALLOWED,))
        found = canonical_path(attempt.path, encoded_slashes=attempt.resource.allow_encoded_slashes)
        if found is None:
            return Denial((Reason.AMBIGUOUS_PATH,))
        path = found
    decision = _decide_for_subject(attempt, held, path)
    if isinstance(decision, Denial) and path and is_public(attempt, path):
        return permit_public(attempt)
    return decision


def refusal(attempt: Attempt, grants: Sequence[Grant], locks: Locks) -> Denial | None:
    """What stops an attempt before anything else is looked at: it makes no sense, or a lock stands."""
    action, resource = attempt.action, attempt.resource
    kind = _KIND_OF.get(action)
    if kind is None:
        return Denial((Reason.UNKNOWN_ACTION,))
    if kind and (resource.kind != kind or (not resource.name and action in _NAMED)):
        return Denial((Reason.UNKNOWN_RESOURCE,))
    if locks and (lock := locks.on(attempt, grants)):
        return Denial((Reason.LOCKED,), detail=lock.message)
    return None


def is_public(attempt: Attempt, path: str) -> bool:
    """Whether anybody may ask for this path, signed in or not."""
    return any(path_pattern(pattern).matches(path) for pattern in attempt.resource.public_paths)


def _decide_for_subject(attempt: Attempt, held: GrantSet, path: str) -> Decision:
    login = standing_of(attempt)
    if isinstance(login, Denial):
        return login
    if attempt.action in _NEEDS_NO_ROLE:
        if attempt.action == CONSOLE_OPEN and _is_machine(attempt.subject):
            return Denial((Reason.ACTION_NOT_ALLOWED,))
        return permit_signed_in(attempt, login)
    if denier := denying(held, attempt, path):
        return Denial((Reason.DENIED_BY_ROLE,), role=denier.role)
    fell: Fell = []
    mask = allowing(held, attempt, path, fell)
    if not mask:
        return Denial(tuple(sorted({reason for reason, _ in fell}, key=_nearness)) or (Reason.NO_ROLE,))
    return _on_terms(attempt, login, held, mask)


def _on_terms(attempt: Attempt, login: Login, held: GrantSet, mask: int) -> Decision:
    """The permit that the grants of a mask give together, if the login session fulfils what they demand."""
    grants = held.of(mask)
    terms = held.terms_of(mask)
    if attempt.resource.terms is not None:
        terms = strictest((terms, attempt.resource.terms))
    if failure := terms.failure(login, attempt.context.at, attempt.access):
        return Denial((failure,), phishing_resistant=terms.phishing_resistant)
    ends_at = terms.end_of(login)
    if mask & held.timed:
        ends_at = min([ends_at, *(grant.until for grant in grants if grant.until is not None)])
    defaults = MACHINE_DEFAULTS if _is_machine(attempt.subject) else PERSON_DEFAULTS
    return permit_by_roles(attempt, held.roles_of(grants), terms, ends_at, defaults)


def terms_of_use(attempt: Attempt, grants: Sequence[Grant]) -> Terms:
    """What using an app demands by all the roles that open some path of it: for a credential that is good for many."""
    at, resource = attempt.context.at, attempt.resource
    opening = [
        grant.terms
        for grant in grants
        if grant.is_held(at)
        and grant.allow.apps.matches(resource.labels)
        and condition_failure(grant.allow, attempt) is None
    ]
    return strictest([resource.terms or Terms(), *opening])


def _is_machine(subject: Subject | None) -> bool:
    return subject is not None and subject.kind == "machine"


def _nearness(reason: Reason) -> int:
    return -NEARNESS[reason]


def standing_of(attempt: Attempt) -> Login | Denial:
    """The login session that the subject acts under, if they are enabled, signed in and gave a second factor.

    Machines prove themselves by how they joined; a second factor is for people.
    """
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
    if login.mfa_at is None and subject.kind != "machine":
        return Denial((Reason.MFA_REQUIRED,))
    return login
