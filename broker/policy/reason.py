"""The stable name of every outcome: tests assert it, the log prints it, pages explain it."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a decision came out as it did. Values are part of the audit log's format: never rename one."""

    # permits
    ROLE_ALLOWS = "role-allows"
    PUBLIC_PATH = "public-path"
    SIGNED_IN = "signed-in"
    # denials because a rule could not be judged at all
    POLICY_ERROR = "policy-error"
    # denials before any role is looked at
    UNKNOWN_ACTION = "unknown-action"
    UNKNOWN_RESOURCE = "unknown-resource"
    NOT_SIGNED_IN = "not-signed-in"
    SESSION_EXPIRED = "session-expired"
    USER_DISABLED = "user-disabled"
    LOCKED = "locked"
    AMBIGUOUS_PATH = "ambiguous-path"
    FOREIGN_ORIGIN = "foreign-origin"
    # denials by roles
    NO_ROLE = "no-role"
    DENIED_BY_ROLE = "denied-by-role"
    BINDING_EXPIRED = "binding-expired"
    LABELS_DO_NOT_MATCH = "labels-do-not-match"
    LOGIN_NOT_ALLOWED = "login-not-allowed"
    PATH_NOT_ALLOWED = "path-not-allowed"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    ACTION_NOT_ALLOWED = "action-not-allowed"
    CONDITION_FALSE = "condition-false"
    CONDITION_ERROR = "condition-error"
    SESSION_TOO_OLD = "session-too-old"
    MFA_REQUIRED = "mfa-required"
    MFA_TOO_OLD = "mfa-too-old"
    MFA_KIND = "mfa-kind"
    MFA_SPENT = "mfa-spent"


CONFIRMABLE = frozenset({Reason.MFA_REQUIRED, Reason.MFA_TOO_OLD, Reason.MFA_KIND, Reason.MFA_SPENT})
"""Denials that a person lifts by giving their second factor again."""
