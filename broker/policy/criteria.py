"""The criteria a grant is held against: each a small function that answers None for met, or the reason it is not.

`decide()` and `explain()` ask the same functions, so that an explanation cannot tell another story than the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from broker.policy.attempt import APP_REQUEST, SSH_SESSION, Attempt
from broker.policy.grant import ANY, Grant, Side
from broker.policy.path import denial_forms
from broker.policy.pattern import any_glob
from broker.policy.reason import Reason

# How near to a yes each failure is: the reason told first is that of the role that came nearest.
NEARNESS: Mapping[Reason, int] = {
    reason: rank
    for rank, reason in enumerate(
        (
            Reason.NO_ROLE,
            Reason.ACTION_NOT_ALLOWED,
            Reason.LABELS_DO_NOT_MATCH,
            Reason.LOGIN_NOT_ALLOWED,
            Reason.PATH_NOT_ALLOWED,
            Reason.METHOD_NOT_ALLOWED,
            Reason.CONDITION_ERROR,
            Reason.CONDITION_FALSE,
            Reason.BINDING_EXPIRED,
        )
    )
}


def app_failure(allow: Side, attempt: Attempt, path: str) -> Reason | None:
    """Why this side of a role does not allow a web request."""
    if not allow.apps.matches(attempt.resource.labels):
        return Reason.LABELS_DO_NOT_MATCH
    if allow.paths and not any_glob(allow.paths, path):
        return Reason.PATH_NOT_ALLOWED
    if attempt.method not in allow.methods:
        return Reason.METHOD_NOT_ALLOWED
    return condition_failure(allow, attempt) if allow.conditions else None


def ssh_failure(allow: Side, attempt: Attempt, path: str) -> Reason | None:
    """Why it does not allow an SSH session."""
    if not allow.servers.matches(attempt.resource.labels):
        return Reason.LABELS_DO_NOT_MATCH
    if attempt.login not in allow.logins:
        return Reason.LOGIN_NOT_ALLOWED
    return condition_failure(allow, attempt) if allow.conditions else None


def admin_failure(allow: Side, attempt: Attempt, path: str) -> Reason | None:
    """Why it does not allow an administrative action."""
    if attempt.action not in allow.actions:
        return Reason.ACTION_NOT_ALLOWED
    return condition_failure(allow, attempt) if allow.conditions else None


def condition_failure(allow: Side, attempt: Attempt) -> Reason | None:
    """The first condition that is false or cannot be answered."""
    for condition in allow.conditions:
        if failure := condition.failure(attempt):
            return failure
    return None


Failure = Callable[[Side, Attempt, str], Reason | None]
_FAILURES: Mapping[str, Failure] = {APP_REQUEST: app_failure, SSH_SESSION: ssh_failure}


def failure_for(action: str) -> Failure:
    """The criterion for an action."""
    return _FAILURES.get(action, admin_failure)


def is_denied(deny: Side, attempt: Attempt, path: str) -> bool:
    """Whether this side of a role denies the attempt. A condition that cannot be answered counts as true."""
    if not _names(deny, attempt, path):
        return False
    return all(condition.failure(attempt) is not Reason.CONDITION_FALSE for condition in deny.conditions)


def _names(deny: Side, attempt: Attempt, path: str) -> bool:
    """Whether the attempt is among what is denied; nothing but conditions means everything."""
    if deny.bare:
        return True
    if attempt.action == SSH_SESSION:
        return _names_session(deny, attempt)
    if attempt.action == APP_REQUEST:
        return _names_request(deny, attempt, path)
    return attempt.action in deny.actions


def _names_session(deny: Side, attempt: Attempt) -> bool:
    """A login or a server's labels: each denies on its own."""
    return attempt.login in deny.logins or ANY in deny.logins or deny.servers.matches(attempt.resource.labels)


def _names_request(deny: Side, attempt: Attempt, path: str) -> bool:
    """Labels, paths and methods narrow each other; at least one has to be written."""
    if not (deny.apps or deny.paths or deny.methods):
        return False
    if deny.apps and not deny.apps.matches(attempt.resource.labels):
        return False
    if deny.methods and attempt.method not in deny.methods:
        return False
    return not deny.paths or any(any_glob(deny.paths, form) for form in denial_forms(path))


def denying(grants: Sequence[Grant], attempt: Attempt, path: str) -> Grant | None:
    """The first held grant whose deny side names the attempt."""
    at = attempt.context.at
    for grant in grants:
        if grant.deny is not None and grant.is_held(at) and is_denied(grant.deny, attempt, path):
            return grant
    return None
