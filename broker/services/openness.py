"""What a subject may use, as lists show it: an app of which some path opens, a server with the logins that open it.

What only waits for the person (a newer second factor, a new sign-in) is listed: they are asked for it on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from broker.errors import Denied, NotFound
from broker.live import Live
from broker.policy import Attempt, Denial, Reason

WAITS_FOR_PERSON = frozenset({Reason.MFA_TOO_OLD, Reason.MFA_KIND, Reason.MFA_SPENT, Reason.SESSION_TOO_OLD})
_NOT_YOURS = frozenset({Reason.NO_ROLE, Reason.LABELS_DO_NOT_MATCH})
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


@contextmanager
def hiding(message: str, hint: str) -> Iterator[None]:
    """Around the use of something by name: that it is not yours sounds like that there is no such thing."""
    try:
        yield
    except NotFound:
        raise NotFound(message, hint) from None
    except Denied as error:
        if error.denial.reasons[0] in _NOT_YOURS:
            raise NotFound(message, hint) from None
        raise
