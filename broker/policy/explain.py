"""The explanation: the decision, and for each role of the subject how it fared and what failed first in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from broker.policy.attempt import APP_REQUEST, SSH_SESSION, Attempt, Login
from broker.policy.condition import Condition
from broker.policy.criteria import Fell, allowing, denying
from broker.policy.decide import decide
from broker.policy.decision import Decision, Denial
from broker.policy.grant import Grant
from broker.policy.grantset import GrantSet
from broker.policy.lock import NO_LOCKS, Locks
from broker.policy.path import canonical_path
from broker.policy.reason import Reason
from broker.policy.terms import OWN_MFA_SECONDS, Terms
from broker.policy.words import attempted, hint_of, text_of

Outcome = Literal["allows", "denies", "does-not-allow", "terms-not-met"]


@dataclass(frozen=True, slots=True)
class Tried:
    """How one role fared. `failed` is the first thing that failed; None when the role allows."""

    role: str
    via: str
    outcome: Outcome
    failed: Reason | None
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision, why in words, what would help, and each role tried (none when it did not come to that)."""

    decision: Decision
    text: str
    hint: str
    tried: tuple[Tried, ...]


def explain(attempt: Attempt, grants: Sequence[Grant], locks: Locks = NO_LOCKS) -> Explanation:
    """What `decide()` answers, and what each grant had to say about it."""
    decision = decide(attempt, grants, locks)
    reason = decision.reasons[0] if isinstance(decision, Denial) else decision.reason
    text, hint = text_of(reason, attempt), hint_of(reason)
    if isinstance(decision, Denial) and decision.reasons[0] is Reason.LOCKED and decision.detail:
        text = f"{text}: {decision.detail}"
    return Explanation(decision, text, hint, _try_all(attempt, grants))


def _try_all(attempt: Attempt, grants: Sequence[Grant]) -> tuple[Tried, ...]:
    path = ""
    if attempt.action == APP_REQUEST:
        found = canonical_path(attempt.path, encoded_slashes=attempt.resource.allow_encoded_slashes)
        if found is None:
            return ()
        path = found
    return tuple(_try(grant, attempt, path) for grant in grants)


def _try(grant: Grant, attempt: Attempt, path: str) -> Tried:
    at = attempt.context.at
    alone = GrantSet((grant,))
    if denying(alone, attempt, path):
        text = f"denies {attempted(attempt)}"
        return Tried(grant.role, grant.via, "denies", Reason.DENIED_BY_ROLE, text)
    fell: Fell = []
    if not allowing(alone, attempt, path, fell):
        failure = fell[0][0]
        return Tried(grant.role, grant.via, "does-not-allow", failure, _failed_text(failure, grant, attempt))
    login = attempt.subject.login if attempt.subject else None
    if login is not None:
        own, resource = grant.terms, attempt.resource
        if unmet := own.failure(login, at, attempt.access):
            return Tried(grant.role, grant.via, "terms-not-met", unmet, _terms_text(unmet, own, login, at))
        if resource.terms and (unmet := resource.terms.failure(login, at, attempt.access)):
            text = f"allows it, but {resource.name} {_terms_text(unmet, resource.terms, login, at)}"
            return Tried(grant.role, grant.via, "terms-not-met", unmet, text)
    return Tried(grant.role, grant.via, "allows", None, f"allows {attempted(attempt)}")


def _failed_text(failure: Reason, grant: Grant, attempt: Attempt) -> str:
    """The first thing that failed in one role, with what the role wants; for administrators' eyes too."""
    allow = grant.allow
    match failure:
        case Reason.LABELS_DO_NOT_MATCH:
            return _labels_text(grant, attempt)
        case Reason.LOGIN_NOT_ALLOWED:
            known = ", ".join(sorted(allow.logins)) or "none"
            return f"does not allow login {attempt.login or '(none)'} (allows: {known})"
        case Reason.PATH_NOT_ALLOWED:
            return "does not open this path"
        case Reason.METHOD_NOT_ALLOWED:
            return f"does not allow the method {attempt.method[:16]}"
        case Reason.ACTION_NOT_ALLOWED:
            return f"does not allow {attempt.action}"
        case Reason.CONDITION_FALSE | Reason.CONDITION_ERROR:
            return _condition_text(allow.conditions, attempt)
        case _:
            return text_of(failure, attempt)


def _labels_text(grant: Grant, attempt: Attempt) -> str:
    selector = grant.allow.servers if attempt.action == SSH_SESSION else grant.allow.apps
    if not selector.selects:
        return f"opens no {attempt.resource.kind}s"
    key = selector.first_mismatch(attempt.resource.labels)
    has = attempt.resource.labels.get(key)
    return f"label {key} does not match ({attempt.resource.name} has " + (
        f"{key}: {has})" if has is not None else "none)"
    )


def _condition_text(conditions: Sequence[Condition], attempt: Attempt) -> str:
    for condition in conditions:
        match condition.failure(attempt):
            case Reason.CONDITION_FALSE:
                return f"condition is false: {condition.source}"
            case Reason.CONDITION_ERROR:
                return f"condition cannot be answered: {condition.source}"
    return "its conditions hold"


def _terms_text(failure: Reason, terms: Terms, login: Login, at: float) -> str:
    match failure:
        case Reason.SESSION_TOO_OLD:
            age = at - login.started_at
            return f"wants a login session younger than {terms.max_age:.0f} s; it is {age:.0f} s old"
        case Reason.MFA_TOO_OLD if login.mfa_at is not None:
            since, within = at - login.mfa_at, terms.mfa_within
            if since < within:
                return f"wants a second factor of at most {OWN_MFA_SECONDS:.0f} s ago for each session; " + (
                    f"it was {since:.0f} s ago"
                )
            return f"wants a second factor at most {within:.0f} s ago; it was {since:.0f} s ago"
        case Reason.MFA_SPENT:
            batch = f", or in a batch of {terms.mfa_reuse:.0f} s" if terms.mfa_reuse else ""
            return f"wants a second factor of its own for each session{batch}; the last one was spent on another"
        case Reason.MFA_KIND:
            return "wants a phishing-resistant second factor"
        case _:
            return "wants a second factor"
