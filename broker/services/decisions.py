"""Asking policy from a door: decide on the caught-up live state; a denial is recorded before anybody hears of it."""

from __future__ import annotations

import time

from django.db import transaction

from broker import live as live_state
from broker.audit.event import AccessDenied
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Denied
from broker.live import Live
from broker.policy import Attempt, Context, Denial, Permit, Reason, Resource, Subject
from broker.policy.words import hint_of, text_of


def subject_now(login_session_id: str, live: Live | None = None) -> Subject | None:
    """Who acts under a login session at this moment; None when it has ended. `live` is a state caught up just now."""
    live = live or live_state.current()
    login = live.peek_login(login_session_id, time.time()) or live.fetch_login(login_session_id)
    return live.subject(login) if login else None


def permit(origin: Origin, attempt: Attempt, live: Live | None = None) -> Permit:
    """The permit for an attempt. Raises `Denied`, after the denial is on record.

    Call it before the transaction of what it permits, never within: rolling back must not take the denial along.
    """
    decision = (live or live_state.current()).decide(attempt)
    if isinstance(decision, Permit):
        return decision
    record_denial(origin, attempt, decision)
    raise denied(attempt, decision)


def require(origin: Origin, subject: Subject | None, action: str, name: str = "", ident: str = "") -> Permit:
    """The permit for an administrative action `KIND.VERB` on the thing of that kind and name. Raises `Denied`."""
    resource = Resource(action.partition(".")[0], ident, name)
    return permit(origin, Attempt(subject, action, resource, Context(time.time(), origin.address)))


def denied(attempt: Attempt, denial: Denial) -> Denied:
    """The failure to raise for a denial, in words for the person refused."""
    reason = denial.reasons[0]
    text = text_of(reason, attempt)
    if reason is Reason.LOCKED and denial.detail:
        text = f"{text}: {denial.detail}"
    return Denied(denial, text, hint_of(reason))


def record_denial(origin: Origin, attempt: Attempt, denial: Denial, count: int = 1) -> None:
    """Put a denial on record, in a transaction of its own."""
    with transaction.atomic(durable=True):
        record(origin, denial_event(attempt, denial, count))


def denial_event(attempt: Attempt, denial: Denial, count: int = 1) -> AccessDenied:
    """The event for a denial."""
    return AccessDenied(
        id=attempt.resource.id,
        label=attempt.resource.name,
        decision="denial",
        reasons=tuple(str(reason) for reason in denial.reasons),
        action=attempt.action,
        resource_kind=attempt.resource.kind,
        login=attempt.login,
        method=attempt.method[:16],
        path=attempt.path[:500],
        role=denial.role,
        detail=denial.detail[:200],
        count=count,
    )
