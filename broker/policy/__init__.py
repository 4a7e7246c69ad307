"""Policy: who may do what. Pure: frozen values in, a Permit or a Denial out."""

from broker.policy.attempt import Access, Attempt, Context, Login, Resource, Subject
from broker.policy.decide import decide, terms_of_use
from broker.policy.decision import Decision, Denial, Permit
from broker.policy.explain import Explanation, Tried, explain
from broker.policy.grant import Grant, compile_role
from broker.policy.grantset import GrantSet
from broker.policy.lock import NO_LOCKS, Lock, Locks
from broker.policy.path import canonical_path
from broker.policy.reason import Reason
from broker.policy.role import AdminRule, MfaOptions, Options, RoleSpec, Rules
from broker.policy.terms import Terms

__all__ = [
    "NO_LOCKS",
    "Access",
    "AdminRule",
    "Attempt",
    "Context",
    "Decision",
    "Denial",
    "Explanation",
    "Grant",
    "GrantSet",
    "Lock",
    "Locks",
    "Login",
    "MfaOptions",
    "Options",
    "Permit",
    "Reason",
    "Resource",
    "RoleSpec",
    "Rules",
    "Subject",
    "Terms",
    "Tried",
    "canonical_path",
    "compile_role",
    "decide",
    "explain",
    "terms_of_use",
]
