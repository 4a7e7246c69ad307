"""Every event there is: frozen values with dotted names. Names and fields are the log's format: add, never rename.

An event says what it is about (`resource`), what the feed's followers must reload (`touches`), and carries the rest as
data.
Fields named `*_id` and `*_name` are plain strings; no field may ever hold a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events share. `kind` names the resource kind, and what is touched in the live state."""

    name: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    touching: ClassVar[bool] = True

    id: str = ""
    label: str = ""
    decision: str = ""
    reasons: tuple[str, ...] = ()
    access_session_id: str = ""
    also_touches: tuple[str, ...] = ()

    def resource(self) -> tuple[str, str, str]:
        """(kind, id, name) of what the event is about."""
        return (self.kind, self.id, self.label)

    def touches(self) -> tuple[str, ...]:
        """What followers must reload, as `kind:id`."""
        own = (f"{self.kind}:{self.id}",) if self.touching and self.kind and self.id else ()
        return own + self.also_touches

    def data(self) -> dict[str, Any]:
        """The fields that only this kind of event has."""
        shared = {f.name for f in fields(Event)}
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name not in shared}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | frozenset | set) else value


# --- people -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _User(Event):
    kind: ClassVar[str] = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCreated(_User):
    name: ClassVar[str] = "user.created"
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserUpdated(_User):
    name: ClassVar[str] = "user.updated"
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDeleted(_User):
    name: ClassVar[str] = "user.deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDisabled(_User):
    """`by` is the connector's source that says so; empty: an administrator."""

    name: ClassVar[str] = "user.disabled"
    why: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEnabled(_User):
    name: ClassVar[str] = "user.enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInvited(_User):
    name: ClassVar[str] = "user.invited"
    touching: ClassVar[bool] = False
    purpose: str = "enrol"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChanged(_User):
    name: ClassVar[str] = "user.password.changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorEnrolled(_User):
    """`called` is what the user calls a passkey; empty for other factors."""

    name: ClassVar[str] = "user.factor.enrolled"
    factor: str = ""
    called: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorRemoved(_User):
    name: ClassVar[str] = "user.factor.removed"
    factor: str = ""
    called: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorRenamed(_User):
    name: ClassVar[str] = "user.factor.renamed"
    touching: ClassVar[bool] = False
    factor: str = ""
    called: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyCloned(_User):
    """A passkey's counter went backwards (`given`, where more than `known` was due): refused, it may be a copy."""

    name: ClassVar[str] = "user.passkey.cloned"
    touching: ClassVar[bool] = False
    called: str = ""
    known: int = 0
    given: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsReset(_User):
    """`how`: at-once, approved (by a second administrator) or due (after the delay)."""

    name: ClassVar[str] = "user.factors.reset"
    how: str = "at-once"
    asked_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodesMade(_User):
    name: ClassVar[str] = "user.recovery_codes.made"
    touching: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodeUsed(_User):
    name: ClassVar[str] = "user.recovery_code.used"
    touching: ClassVar[bool] = False
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInFailed(_User):
    """A step of a sign-in failed. `label` is the name as typed when no such user exists, cut to 64 characters.

    `why` is a stable name of what was wrong with a passkey's answer; empty for what can be guessed.
    """

    name: ClassVar[str] = "user.sign_in.failed"
    touching: ClassVar[bool] = False
    step: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInThrottled(_User):
    name: ClassVar[str] = "user.sign_in.throttled"
    touching: ClassVar[bool] = False
    step: str = ""
    retry_after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group(Event):
    kind: ClassVar[str] = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCreated(_Group):
    name: ClassVar[str] = "group.created"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupUpdated(_Group):
    name: ClassVar[str] = "group.updated"
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDeleted(_Group):
    name: ClassVar[str] = "group.deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMemberAdded(_Group):
    """Also touches the user: pass `also_touches=("user:ID",)`."""

    name: ClassVar[str] = "group.member.added"
    user_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMemberRemoved(_Group):
    """Also touches the user: pass `also_touches=("user:ID",)`."""

    name: ClassVar[str] = "group.member.removed"
    user_name: str = ""


# --- login sessions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _LoginSession(Event):
    kind: ClassVar[str] = "login_session"
    user_id: str = ""
    user_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSessionStarted(_LoginSession):
    name: ClassVar[str] = "login_session.started"
    session_kind: str = "browser"
    via: str = "local"
    amr: tuple[str, ...] = ()
    device_name: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSessionEnded(_LoginSession):
    """`why`: signed-out, revoked, sign-out-everywhere, password-changed, factors-reset, user-disabled, expired …"""

    name: ClassVar[str] = "login_session.ended"
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSessionConfirmed(_LoginSession):
    """A second factor was given again within a login session (step-up)."""

    name: ClassVar[str] = "login_session.confirmed"
    amr: tuple[str, ...] = ()


# --- policy -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Role(Event):
    kind: ClassVar[str] = "role"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCreated(_Role):
    name: ClassVar[str] = "role.created"
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleUpdated(_Role):
    name: ClassVar[str] = "role.updated"
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDeleted(_Role):
    name: ClassVar[str] = "role.deleted"
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Binding(Event):
    """Binding events also touch the user or group bound: pass `also_touches`."""

    kind: ClassVar[str] = "binding"
    role: str = ""
    bound_to: str = ""
    expires_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingCreated(_Binding):
    name: ClassVar[str] = "binding.created"


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingUpdated(_Binding):
    name: ClassVar[str] = "binding.updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingDeleted(_Binding):
    name: ClassVar[str] = "binding.deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lock(Event):
    kind: ClassVar[str] = "lock"
    target_kind: str = ""
    target_name: str = ""
    why: str = ""
    expires_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockCreated(_Lock):
    name: ClassVar[str] = "lock.created"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockLifted(_Lock):
    name: ClassVar[str] = "lock.lifted"


# --- resources --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _App(Event):
    kind: ClassVar[str] = "app"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppCreated(_App):
    name: ClassVar[str] = "app.created"
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppUpdated(_App):
    name: ClassVar[str] = "app.updated"
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDeleted(_App):
    name: ClassVar[str] = "app.deleted"
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppUnreachable(_App):
    """The upstream did not answer, or its certificate did not verify."""

    name: ClassVar[str] = "app.unreachable"
    touching: ClassVar[bool] = False
    status: int = 502
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server(Event):
    kind: ClassVar[str] = "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCreated(_Server):
    name: ClassVar[str] = "server.created"
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUpdated(_Server):
    name: ClassVar[str] = "server.updated"
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDeleted(_Server):
    name: ClassVar[str] = "server.deleted"
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEnrolmentPrepared(_Server):
    name: ClassVar[str] = "server.enrolment.prepared"
    touching: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEnrolled(_Server):
    name: ClassVar[str] = "server.enrolled"
    host_key: str = ""
    serial: int = 0


# --- use of resources -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessDenied(Event):
    """A denial at any door. `kind` differs by resource, so it is a field here."""

    name: ClassVar[str] = "access.denied"
    touching: ClassVar[bool] = False
    action: str = ""
    resource_kind: str = ""
    login: str = ""
    method: str = ""
    path: str = ""
    role: str = ""
    detail: str = ""
    count: int = 1

    def resource(self) -> tuple[str, str, str]:
        """(kind, id, name) of what was attempted."""
        return (self.resource_kind, self.id, self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class _AppAccess(_App):
    touching: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSessionStarted(_AppAccess):
    """An app was opened. Touches the access session."""

    name: ClassVar[str] = "app.session.started"
    credential: str = "cookie"
    roles: tuple[str, ...] = ()
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSessionEnded(_AppAccess):
    name: ClassVar[str] = "app.session.ended"
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRequests(_AppAccess):
    """The requests permitted in one access session during a second or so: `[method, path, count]`, and their total."""

    name: ClassVar[str] = "app.requests"
    total: int = 0
    requests: tuple[Any, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelOpened(_AppAccess):
    name: ClassVar[str] = "app.tunnel.opened"
    path: str = ""
    protocol: str = "websocket"


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelClosed(_AppAccess):
    name: ClassVar[str] = "app.tunnel.closed"
    path: str = ""
    why: str = ""
    seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateIssued(Event):
    """Committed before the signature exists. For an access certificate the resource is the server."""

    name: ClassVar[str] = "certificate.issued"
    touching: ClassVar[bool] = False
    resource_kind: str = "certificate"
    serial: int = 0
    profile: str = ""
    key_id: str = ""
    principals: tuple[str, ...] = ()
    valid_before: str = ""
    public_key: str = ""
    roles: tuple[str, ...] = ()
    login: str = ""

    def resource(self) -> tuple[str, str, str]:
        """(kind, id, name) of what the certificate opens."""
        return (self.resource_kind, self.id, self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSessionStarted(_Server):
    """An access certificate was given out for one login on one server."""

    name: ClassVar[str] = "ssh.session.started"
    touching: ClassVar[bool] = False
    login: str = ""
    serial: int = 0
    roles: tuple[str, ...] = ()


# --- the installation -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityCreated(Event):
    name: ClassVar[str] = "ca.created"
    kind: ClassVar[str] = "ca"
    authority: str = ""
    public_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyApplied(Event):
    """Summary of one `postern admin apply`; the single changes have their own events."""

    name: ClassVar[str] = "policy.applied"
    kind: ClassVar[str] = "policy"
    touching: ClassVar[bool] = False
    created: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRead(Event):
    """Somebody searched or exported the audit log."""

    name: ClassVar[str] = "audit.read"
    kind: ClassVar[str] = "event"
    touching: ClassVar[bool] = False
    query: str = ""


def all_events() -> list[type[Event]]:
    """Every event class there is, sorted by name."""
    from broker.audit import connector_event

    known = {**globals(), **vars(connector_event)}.values()
    found = [cls for cls in known if isinstance(cls, type) and issubclass(cls, Event) and cls.name]
    return sorted(found, key=lambda cls: cls.name)
