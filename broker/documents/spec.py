"""What the documents say once checked: one frozen value per kind. `RoleSpec` lives with the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from broker.documents.connector_spec import LdapSpec, OidcSpec, ScimSpec
from broker.policy.role import NO_DEMANDS, MfaOptions, RoleSpec

Labels = Mapping[str, str]
BindingSubject = Literal["user", "group", "machine"]


@dataclass(frozen=True, slots=True)
class BindingSpec:
    """A role given to a user, a group or a machine user, until `expires` (aware, UTC) if that is set."""

    kind: ClassVar[str] = "role_binding"

    name: str
    role: str
    subject_kind: BindingSubject
    subject: str
    expires: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UserSpec:
    """A person: who they are and which groups and traits they have. Says nothing about passwords or factors."""

    kind: ClassVar[str] = "user"

    name: str
    full_name: str = ""
    email: str = ""
    groups: tuple[str, ...] = ()
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A group that users can be in and roles can be bound to."""

    kind: ClassVar[str] = "group"

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class HeaderRewrite:
    """Request headers for the upstream: set to a value, or removed."""

    set: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """How an https upstream is checked: by which CA (PEM; empty: the system's) and under which name."""

    verify: bool = True
    ca: str = ""
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class AppSpec:
    """A private web app. `max_body` is in bytes, None for no limit; `host` is `upstream`, `public` or a host name."""

    kind: ClassVar[str] = "app"

    name: str
    uri: str
    description: str = ""
    labels: Labels = field(default_factory=dict)
    public_addr: str = ""
    public_paths: tuple[str, ...] = ()
    headers: HeaderRewrite = HeaderRewrite()
    host: str = "upstream"
    tls: UpstreamTls = UpstreamTls()
    max_body: int | None = None
    allow_encoded_slashes: bool = False
    mfa: MfaOptions = NO_DEMANDS


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """A server reached over SSH at `addr`, written `host:port` (`[v6]:port` for IPv6)."""

    kind: ClassVar[str] = "server"

    name: str
    addr: str
    hostname: str = ""
    description: str = ""
    labels: Labels = field(default_factory=dict)
    mfa: MfaOptions = NO_DEMANDS

    @property
    def host(self) -> str:
        return self.addr.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.addr.rpartition(":")[2])


Spec = RoleSpec | BindingSpec | UserSpec | GroupSpec | AppSpec | ServerSpec | OidcSpec | LdapSpec | ScimSpec
