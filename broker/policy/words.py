"""Reasons in words: a clause for the person who was refused, and what would help. Names nothing they may not see."""

from __future__ import annotations

from collections.abc import Mapping

from broker.policy.attempt import APP_REQUEST, CERTIFICATE_ISSUE, CONSOLE_OPEN, SSH_SESSION, Attempt
from broker.policy.reason import Reason

_TEXTS: Mapping[Reason, str] = {
    Reason.ROLE_ALLOWS: "a role allows {what}",
    Reason.PUBLIC_PATH: "this path of {name} is open to everybody",
    Reason.SIGNED_IN: "everybody who is signed in may do this",
    Reason.POLICY_ERROR: "the policy could not be judged, so the answer is no",
    Reason.UNKNOWN_ACTION: "there is no action {action}",
    Reason.UNKNOWN_RESOURCE: "there is nothing of that name here",
    Reason.NOT_SIGNED_IN: "nobody is signed in",
    Reason.SESSION_EXPIRED: "the login session has ended",
    Reason.USER_DISABLED: "the account {subject} is disabled",
    Reason.LOCKED: "a lock stops {what}",
    Reason.AMBIGUOUS_PATH: "the address can be read in more than one way",
    Reason.FOREIGN_ORIGIN: "a page of another site tried to open a connection to {name}",
    Reason.NO_ROLE: "no role is given to {subject}",
    Reason.DENIED_BY_ROLE: "a role denies {what}",
    Reason.BINDING_EXPIRED: "the role that allowed {what} was given for a time that is over",
    Reason.LABELS_DO_NOT_MATCH: "no role of {subject} opens {name}",
    Reason.LOGIN_NOT_ALLOWED: "no role of {subject} allows login {login} on {name}",
    Reason.PATH_NOT_ALLOWED: "no role of {subject} opens this path of {name}",
    Reason.METHOD_NOT_ALLOWED: "no role of {subject} allows the method {method} here",
    Reason.ACTION_NOT_ALLOWED: "no role of {subject} allows {action}",
    Reason.CONDITION_FALSE: "a condition of the role is not met, such as the hour or the network",
    Reason.CONDITION_ERROR: "a condition of the role could not be judged",
    Reason.SESSION_TOO_OLD: "the login session is older than the role accepts",
    Reason.MFA_REQUIRED: "a second factor is required",
    Reason.MFA_TOO_OLD: "the second factor was given too long ago",
    Reason.MFA_KIND: "a phishing-resistant second factor is required, such as a passkey or security key",
    Reason.MFA_SPENT: "each new session here wants a second factor of its own, and none was given for this one",
}

_ASK_ADMINISTRATOR = "ask an administrator for a role that allows it"
_SIGN_IN = "sign in again"
_HINTS: Mapping[Reason, str] = {
    Reason.POLICY_ERROR: "tell an administrator, with the request id",
    Reason.UNKNOWN_RESOURCE: "check the name",
    Reason.NOT_SIGNED_IN: "sign in",
    Reason.SESSION_EXPIRED: _SIGN_IN,
    Reason.USER_DISABLED: "ask an administrator to enable it",
    Reason.LOCKED: "ask an administrator why, and to lift it",
    Reason.AMBIGUOUS_PATH: "write it without encoded slashes, dot segments, double slashes and semicolons",
    Reason.FOREIGN_ORIGIN: "open the app at its own address",
    Reason.NO_ROLE: _ASK_ADMINISTRATOR,
    Reason.DENIED_BY_ROLE: "ask an administrator: no other role can make up for it",
    Reason.BINDING_EXPIRED: "ask an administrator to give the role again",
    Reason.LABELS_DO_NOT_MATCH: _ASK_ADMINISTRATOR,
    Reason.LOGIN_NOT_ALLOWED: "take another login, or " + _ASK_ADMINISTRATOR,
    Reason.PATH_NOT_ALLOWED: _ASK_ADMINISTRATOR,
    Reason.METHOD_NOT_ALLOWED: _ASK_ADMINISTRATOR,
    Reason.ACTION_NOT_ALLOWED: _ASK_ADMINISTRATOR,
    Reason.CONDITION_FALSE: "try where and when the role allows it, or ask an administrator",
    Reason.CONDITION_ERROR: "ask an administrator to look at the role's conditions",
    Reason.SESSION_TOO_OLD: _SIGN_IN,
    Reason.MFA_REQUIRED: "give your second factor",
    Reason.MFA_TOO_OLD: "give your second factor again",
    Reason.MFA_KIND: "give your second factor with a passkey or security key",
    Reason.MFA_SPENT: "give your second factor again",
}


def text_of(reason: Reason, attempt: Attempt) -> str:
    """What a reason means for this attempt, in one clause, lower case, no full stop."""
    return _TEXTS[reason].format(
        what=attempted(attempt),
        subject=attempt.subject.name if attempt.subject else "nobody",
        action=attempt.action,
        name=attempt.resource.name or attempt.resource.kind,
        login=attempt.login or "(none)",
        method=attempt.method[:16],
    )


def hint_of(reason: Reason) -> str:
    """What would help; empty for a permit."""
    return _HINTS.get(reason, "")


def attempted(attempt: Attempt) -> str:
    """What was attempted, as a noun phrase: `login root on db-1`."""
    resource = attempt.resource
    match attempt.action:
        case _ if attempt.action == APP_REQUEST:
            return f"opening {resource.name}"
        case _ if attempt.action == SSH_SESSION:
            return f"login {attempt.login} on {resource.name}"
        case _ if attempt.action == CERTIFICATE_ISSUE:
            return "an identity certificate"
        case _ if attempt.action == CONSOLE_OPEN:
            return "opening the console"
        case _:
            return f"{attempt.action} {resource.name}".rstrip()
