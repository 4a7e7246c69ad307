"""An attempt: who wants to do what to which resource, in which circumstances. Frozen values, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from broker.policy.terms import Terms

SubjectKind = Literal["person", "machine"]

APP_REQUEST = "app.request"
SSH_SESSION = "ssh.session"
CERTIFICATE_ISSUE = "certificate.issue"
CONSOLE_OPEN = "console.open"

ADMIN_KINDS = ("role", "binding", "user", "group", "app", "server", "lock", "session", "event", "connector")
ADMIN_VERBS = ("list", "read", "create", "update", "delete")
ADMIN_ACTIONS = frozenset(f"{kind}.{verb}" for kind in ADMIN_KINDS for verb in ADMIN_VERBS)
ACTIONS = frozenset({APP_REQUEST, SSH_SESSION, CERTIFICATE_ISSUE, CONSOLE_OPEN}) | ADMIN_ACTIONS


@dataclass(frozen=True, slots=True)
class Login:
    """The login session an attempt is made under. Times are Unix seconds; `amr` uses the names of RFC 8176.

    `mfa_spent_at` is when the second factor given at `mfa_at` first started an access session that wants its own.
    """

    id: str
    started_at: float
    expires_at: float
    amr: frozenset[str] = frozenset()
    mfa_at: float | None = None
    mfa_spent_at: float | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """The access session an attempt is made within. `mfa_at`: the confirmation of its own that it was started with."""

    mfa_at: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks: a person or machine user with groups, traits and the login session they act under."""

    id: str
    name: str
    kind: SubjectKind = "person"
    groups: frozenset[str] = frozenset()
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    active: bool = True
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """What an attempt is made on: kind (`app`, `server`, or an administered kind), name, labels.

    `public_paths` are patterns of an app's paths that need no sign-in; `allow_encoded_slashes` says whether `%2F` in a
    path is accepted. `terms` are what using it demands, whichever role allows it.
    """

    kind: str
    id: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    public_paths: tuple[str, ...] = ()
    allow_encoded_slashes: bool = False
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances: Unix time and the peer's address as seen by our own listener."""

    at: float
    address: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One question to `decide()`. `login` (SSH account), `method` and `path` (raw, no query) as the action needs.

    `access` is the access session it is made within; None: it would begin one, if the action has such.
    """

    subject: Subject | None
    action: str
    resource: Resource
    context: Context
    login: str = ""
    method: str = ""
    path: str = ""
    access: Access | None = None
