"""Policy: who may do what. Pure: frozen values in, a Permit or a Denial out."""

from broker.policy.attempt import Attempt, Context, Login, Resource, Subject
from broker.policy.decision import Decision, Denial, Permit
from broker.policy.reason import Reason

__all__ = ["Attempt", "Context", "Decision", "Denial", "Login", "Permit", "Reason", "Resource", "Subject"]
