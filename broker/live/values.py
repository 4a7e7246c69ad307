"""The values the live state holds: frozen, replaced as a whole, never changed."""

from __future__ import annotations

from dataclasses import dataclass

from broker.documents import AppSpec, ServerSpec
from broker.policy import Access, Login, Resource, Subject


@dataclass(frozen=True, slots=True)
class LiveUser:
    """A user as decisions see them; `groups` maps group id to name."""

    id: str
    name: str
    kind: str
    active: bool
    traits: dict[str, tuple[str, ...]]
    groups: dict[str, str]
    email: str = ""


@dataclass(frozen=True, slots=True)
class LiveLogin:
    """A login session. Times in Unix seconds; `idle_at` is when it ends if nothing more happens.

    `key_thumbprint` (RFC 7638) is the key that a CLI's token is bound to. `last_address` is where it was last used
    from, as far as was noted, `moved_at` when that became another network.
    """

    id: str
    kind: str
    token_hash: str
    user_id: str
    started_at: float
    expires_at: float
    idle_at: float
    amr: frozenset[str]
    mfa_at: float | None
    mfa_spent_at: float | None
    ended: bool
    key_thumbprint: str = ""
    last_address: str = ""
    moved_at: float | None = None


@dataclass(frozen=True, slots=True)
class LiveAccess:
    """An access session: the credential it is known by, and whose use of which resource it is.

    `within` is what attempts made in it carry along.
    """

    id: str
    token_hash: str
    credential: str
    login_id: str
    user_id: str
    resource_id: str
    expires_at: float
    ended: bool
    within: Access


@dataclass(frozen=True, slots=True)
class LiveApp:
    """An app with its checked document and the resource that decisions see."""

    id: str
    name: str
    host: str
    spec: AppSpec
    resource: Resource


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A server with its checked document and the resource that decisions see."""

    id: str
    name: str
    enrolled: bool
    spec: ServerSpec
    resource: Resource


@dataclass(frozen=True, slots=True)
class LiveBinding:
    """A role given to a user or group (by id)."""

    id: str
    role_id: str
    user_id: str
    group_id: str
    until: float | None


def subject_value(user: LiveUser, login: Login | None) -> Subject:
    """The subject that decisions see."""
    return Subject(
        id=user.id,
        name=user.name,
        kind="machine" if user.kind == "machine" else "person",
        groups=frozenset(user.groups.values()),
        traits=user.traits,
        active=user.active,
        login=login,
    )
