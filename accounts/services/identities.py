"""Somebody arrives from a connector: whose identity that is, whether an account may be made, what the mapping gives.

Identities are found by (issuer, subject) and by nothing else. A name or an e-mail address that is known here already
never links anything: it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import Connector, Identity, Notice, User
from accounts.names import user_name
from accounts.services.notices import tell
from accounts.services.users import create_user, set_groups, update_user
from broker.audit.connector_event import IdentityChanged, IdentityLinked
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents.connector_spec import Creation
from broker.errors import PosternError
from broker.policy.claims import Outcome


class Refused(PosternError):
    """Somebody whom a connector vouches for may not come in. `why` is a stable name for the log and the tests."""

    def __init__(self, why: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.why = why


@dataclass(frozen=True, slots=True)
class Arrival:
    """Whom a connector vouches for. `claims` are plain values without any token; `email_verified` is the provider's
    word, as a boolean and nothing else.
    """

    connector: Connector
    issuer: str
    subject: str
    outcome: Outcome
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)
    email_verified: bool = False


@transaction.atomic
def arrive(origin: Origin, arrival: Arrival, creation: Creation | None) -> Identity:
    """The identity, its user brought to what the mapping says; made if `creation` allows it. Raises Refused."""
    identity = _find(arrival)
    if identity is None:
        user = _create(origin, arrival, creation)
        identity = link(origin, user, arrival)
    if not identity.user.is_active:
        raise Refused("user-disabled", "this account is disabled", "ask an administrator")
    refresh(origin, identity, arrival)
    return identity


@transaction.atomic
def link(origin: Origin, user: User, arrival: Arrival) -> Identity:
    """Make the identity this user's. Raises Refused if it is somebody's already."""
    known = _find(arrival)
    if known is not None:
        if known.user_id == user.pk:
            return known
        raise Refused("linked-elsewhere", "that account belongs to another user here", "ask an administrator")
    identity = Identity.objects.create(
        user=user, connector=arrival.connector, issuer=arrival.issuer, subject=arrival.subject
    )
    about = {"connector": arrival.connector.name, "subject": arrival.subject}
    tell(origin, user, Notice.Kind.IDENTITY_LINKED, connector=arrival.connector.name)
    record(origin, IdentityLinked(id=str(user.pk), label=user.username, **about))  # type: ignore[arg-type]
    return identity


@transaction.atomic
def refresh(origin: Origin, identity: Identity, arrival: Arrival) -> bool:
    """Bring groups, traits and particulars to what the connector says now; False if nothing changed."""
    outcome, user = arrival.outcome, identity.user
    traits = {name: list(values) for name, values in outcome.traits.items()}
    changed = identity.traits != traits
    identity.claims, identity.traits, identity.outcome = dict(arrival.claims), traits, plain(outcome)
    identity.last_seen_at = timezone.now()
    identity.save(update_fields=["claims", "traits", "outcome", "last_seen_at"])
    if changed:
        about = {"connector": arrival.connector.name, "subject": identity.subject, "changed": tuple(sorted(traits))}
        record(origin, IdentityChanged(id=str(user.pk), label=user.username, **about))  # type: ignore[arg-type]
    if not user.has_usable_password():  # else Postern itself keeps who they are
        changed |= update_user(origin, user, full_name=outcome.full_name or None, email=outcome.email or None)
    return set_groups(origin, user, outcome.groups, source=arrival.connector.source) or changed


def plain(outcome: Outcome) -> dict[str, Any]:
    """An outcome as it is kept, for the claim inspector."""
    return asdict(outcome)


def _find(arrival: Arrival) -> Identity | None:
    rows = Identity.objects.select_for_update(of=("self",)).select_related("user", "connector")
    return rows.filter(issuer=arrival.issuer, subject=arrival.subject).first()


def _create(origin: Origin, arrival: Arrival, creation: Creation | None) -> User:
    outcome = arrival.outcome
    if creation is None:
        raise Refused("not-linked", "nobody here is linked with that account", "ask an administrator to link it")
    if not _is_among(arrival, creation):
        raise Refused("not-among-created", "your account there is not one that is let in here", "ask an administrator")
    username = user_name(outcome.username)
    if not username:
        raise Refused("no-name", "your account there has no name that could be used here", "ask an administrator")
    if User.objects.by_name(username):
        hint = "if it is yours, sign in to it and connect the other one under My account; else ask an administrator"
        raise Refused("name-taken", f"there is an account {username} here already", hint)
    return create_user(origin, username, full_name=outcome.full_name, email=outcome.email)


def _is_among(arrival: Arrival, creation: Creation) -> bool:
    if not creation.groups and not creation.email_domains:
        return True
    if not set(creation.groups).isdisjoint(arrival.outcome.groups):
        return True
    _, at, domain = arrival.outcome.email.rpartition("@")
    local = arrival.outcome.email.partition("@")[0]
    return bool(
        at
        and arrival.email_verified
        and local + at + domain == arrival.outcome.email  # one @ only
        and domain.isascii()  # a Kelvin sign is no k
        and domain.lower() in {d.lower() for d in creation.email_domains}
    )
