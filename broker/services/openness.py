"""What a subject may use, as lists show it: an app of which some path opens, a server with the logins that open it.

What only waits for the person (a newer second factor, a new sign-in) is listed: they are asked for it on the way.
"""

from __future__ import annotations

from broker.live import Live
from broker.policy import Attempt, Denial, Reason

WAITS_FOR_PERSON = frozenset({Reason.MFA_TOO_OLD, Reason.MFA_KIND, Reason.SESSION_TOO_OLD})
_OTHER_PATHS_OPEN = frozenset({Reason.PATH_NOT_ALLOWED, Reason.METHOD_NOT_ALLOWED})


def may_open(live: Live, attempt: Attempt) -> bool:
    """Whether the attempt is permitted, or another path of the app is, or would be once the person does their part."""
    decision = live.decide(attempt)
    if not isinstance(decision, Denial):
        return decision.reason is not Reason.PUBLIC_PATH or _names_app(live, attempt)
    return decision.reasons[0] in WAITS_FOR_PERSON | _OTHER_PATHS_OPEN


def _names_app(live: Live, attempt: Attempt) -> bool:
    """For a path that is open to everybody: whether a role of the subject opens others."""
    subject = attempt.subject
    grants = live.grants(subject.id) if subject else ()
    return any(grant.allow.apps.matches(attempt.resource.labels) for grant in grants)
