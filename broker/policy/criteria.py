"""The criteria grants are held against: each narrows a mask of grants, in a fixed order, and notes why others fell out.

`decide()` and `explain()` ask the same functions, so that an explanation cannot tell another story than the decision.
"""

from __future__ import annotations

from collections.abc import Mapping

from broker.policy.attempt import APP_REQUEST, SSH_SESSION, Attempt
from broker.policy.grant import ANY, Grant, Side
from broker.policy.grantset import GrantSet
from broker.policy.path import denial_forms
from broker.policy.pattern import any_matches
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

# An enum's member takes a tenth of a microsecond to look up, and every decision would several times.
LABELS_DO_NOT_MATCH = Reason.LABELS_DO_NOT_MATCH
LOGIN_NOT_ALLOWED = Reason.LOGIN_NOT_ALLOWED
PATH_NOT_ALLOWED = Reason.PATH_NOT_ALLOWED
METHOD_NOT_ALLOWED = Reason.METHOD_NOT_ALLOWED

Fell = list[tuple[Reason, int]]
"""Why grants fell out: reasons with the masks of the grants."""


def allowing(grants: GrantSet, attempt: Attempt, path: str, fell: Fell) -> int:
    """The mask of the grants that allow the attempt; `fell` gets why the others do not."""
    if attempt.action == APP_REQUEST:
        mask = _for_request(grants, attempt, path, fell)
    elif attempt.action == SSH_SESSION:
        mask = _for_session(grants, attempt, fell)
    else:
        mask = _narrow(grants.all, grants.actions.get(attempt.action, 0), Reason.ACTION_NOT_ALLOWED, fell)
    if mask & grants.conditional:
        mask = _whose_conditions_hold(grants, attempt, mask, fell)
    if mask & grants.timed:
        mask = _not_expired(grants, attempt.context.at, mask, fell)
    return mask


def _for_request(grants: GrantSet, attempt: Attempt, path: str, fell: Fell) -> int:
    mask = _narrow(grants.all, grants.apps.matching(attempt.resource.labels), LABELS_DO_NOT_MATCH, fell)
    if mask & grants.pathed:
        mask = _narrow(mask, _opening(grants, mask, path), PATH_NOT_ALLOWED, fell)
    return _narrow(mask, grants.methods.get(attempt.method, 0), METHOD_NOT_ALLOWED, fell)


def _for_session(grants: GrantSet, attempt: Attempt, fell: Fell) -> int:
    mask = _narrow(grants.all, grants.servers.matching(attempt.resource.labels), LABELS_DO_NOT_MATCH, fell)
    return _narrow(mask, grants.logins.get(attempt.login, 0), LOGIN_NOT_ALLOWED, fell)


def _narrow(mask: int, meeting: int, reason: Reason, fell: Fell) -> int:
    out = mask & ~meeting
    if out:
        fell.append((reason, out))
    return mask & meeting


def _opening(grants: GrantSet, mask: int, path: str) -> int:
    """The grants of a mask that open a path: all that name no paths, and those of which one matches."""
    opening = mask & ~grants.pathed
    rest = mask & grants.pathed
    while rest:
        low = rest & -rest
        if any_matches(grants.grants[low.bit_length() - 1].allow.paths, path):
            opening |= low
        rest ^= low
    return opening


def _whose_conditions_hold(grants: GrantSet, attempt: Attempt, mask: int, fell: Fell) -> int:
    rest = mask & grants.conditional
    while rest:
        low = rest & -rest
        failure = condition_failure(grants.grants[low.bit_length() - 1].allow, attempt)
        if failure is not None:
            mask = _narrow(mask, ~low, failure, fell)
        rest ^= low
    return mask


def _not_expired(grants: GrantSet, at: float, mask: int, fell: Fell) -> int:
    rest = mask & grants.timed
    while rest:
        low = rest & -rest
        if not grants.grants[low.bit_length() - 1].is_held(at):
            mask = _narrow(mask, ~low, Reason.BINDING_EXPIRED, fell)
        rest ^= low
    return mask


def condition_failure(side: Side, attempt: Attempt) -> Reason | None:
    """The first condition that is false or cannot be answered."""
    for condition in side.conditions:
        if failure := condition.failure(attempt):
            return failure
    return None


def denying(grants: GrantSet, attempt: Attempt, path: str) -> Grant | None:
    """The first held grant whose deny side names the attempt."""
    if attempt.action == APP_REQUEST:
        if not grants.denying_apps or not grants.denied_apps.matching(attempt.resource.labels):
            return None
        for grant, deny in grants.denying_apps:
            if (deny.bare or _names_request(deny, attempt, path)) and _is_in_force(grant, deny, attempt):
                return grant
    elif attempt.action == SSH_SESSION:
        for grant, deny in grants.denying_servers:
            if (deny.bare or _names_session(deny, attempt)) and _is_in_force(grant, deny, attempt):
                return grant
    else:
        for grant, deny in grants.denying_rest:
            if (deny.bare or attempt.action in deny.actions) and _is_in_force(grant, deny, attempt):
                return grant
    return None


def _is_in_force(grant: Grant, deny: Side, attempt: Attempt) -> bool:
    """Whether the role is held still and none of its deny conditions is false; one without an answer counts as true."""
    if not grant.is_held(attempt.context.at):
        return False
    return all(condition.failure(attempt) is not Reason.CONDITION_FALSE for condition in deny.conditions)


def _names_session(deny: Side, attempt: Attempt) -> bool:
    """A login or a server's labels: each denies on its own."""
    return attempt.login in deny.logins or ANY in deny.logins or deny.servers.matches(attempt.resource.labels)


def _names_request(deny: Side, attempt: Attempt, path: str) -> bool:
    """Labels, paths and methods narrow each other; at least one of them is written."""
    if deny.apps.selects and not deny.apps.matches(attempt.resource.labels):
        return False
    if deny.methods and attempt.method not in deny.methods:
        return False
    return not deny.paths or any(any_matches(deny.paths, form) for form in denial_forms(path))
