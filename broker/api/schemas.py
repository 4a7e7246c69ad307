"""What calls take and answer. Bodies are strict: no unknown keys, and a number is not a string."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Short = Annotated[str, StringConstraints(max_length=500)]
PublicKey = Annotated[str, StringConstraints(min_length=1, max_length=8192)]


class Body(Schema):
    """What a caller sends."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ReasonGiven(Schema):
    """Why, by its stable name and in words."""

    reason: str
    text: str


class FieldProblem(Schema):
    """One thing wrong in what was sent."""

    message: str
    source: str = ""
    line: int = 0
    path: str = ""
    hint: str = ""


class WaysToConfirm(Schema):
    """How a denial is lifted by the second factor: `totp` and `recovery` by a code, all in a browser (`url`)."""

    methods: list[str]
    need: str
    url: str


class ProblemDetails(Schema):
    """A failure (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    reasons: list[ReasonGiven] = []
    hint: str = ""
    request_id: str = ""
    problems: list[FieldProblem] | None = None
    confirm: WaysToConfirm | None = None


class Named(Body):
    """A thing by kind and name."""

    kind: Name
    name: Annotated[str, StringConstraints(max_length=200)] = ""


# --- what I may -------------------------------------------------------------------------------------------------------


class SessionAnswer(Schema):
    """The login session of the caller; `key_thumbprint` (RFC 7638) is the key that its token is bound to."""

    id: UUID
    kind: str
    started_at: datetime
    expires_at: datetime
    mfa_at: datetime | None
    amr: list[str]
    key_thumbprint: str


class MyUseAnswer(Schema):
    """One use of an app or server that is open."""

    id: UUID
    protocol: str
    credential: str
    resource: str
    login: str
    address: str
    started_at: datetime
    last_used_at: datetime
    expires_at: datetime


class MySessionAnswer(Schema):
    """One of my sign-ins; `let_in_by` is the browser in which a command line was let in, while that is open."""

    id: UUID
    kind: str
    device_name: str
    address: str
    last_address: str
    via: str
    signed_in_with: str
    amr: list[str]
    mfa_at: datetime | None
    started_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool
    let_in_by: UUID | None
    uses: list[MyUseAnswer]


class MySessionPage(Schema):
    items: list[MySessionAnswer]
    next: str | None


class BrokerAnswer(Schema):
    """Who answers."""

    url: str
    name: str
    version: str


class StatusAnswer(Schema):
    """Who I am."""

    user: str
    full_name: str
    kind: str
    roles: list[str]
    groups: list[str]
    traits: dict[str, list[str]]
    session: SessionAnswer
    broker: BrokerAnswer


class ResourceAnswer(Schema):
    """An app (with `url`) or a server (with `address`, `port`, `logins`)."""

    kind: str
    name: str
    labels: dict[str, str]
    description: str
    url: str | None = None
    address: str | None = None
    port: int | None = None
    logins: list[str] | None = None


class ResourcePage(Schema):
    items: list[ResourceAnswer]
    next: str | None


class SshServer(Schema):
    """A server to log in to."""

    name: str
    address: str
    port: int
    logins: list[str]


class SshAnswer(Schema):
    """What an ssh_config needs."""

    suffix: str
    host_ca: list[str]
    servers: list[SshServer]


class AccessBody(Body):
    """Which login on which server, for which key."""

    server: Name
    login: Name
    public_key: PublicKey


class IdentityBody(Body):
    """For which key."""

    public_key: PublicKey


class ServerAddress(Schema):
    name: str
    address: str
    port: int


class IdentityAnswer(Schema):
    """A signed certificate."""

    certificate: str
    serial: int
    key_id: str
    principals: list[str]
    valid_after: datetime
    valid_before: datetime


class AccessAnswer(IdentityAnswer):
    """A signed certificate for one login on one server, and where that server is."""

    server: ServerAddress
    host_ca: list[str]


class AppTokenBody(Body):
    """For which app."""

    app: Name


class AppTokenAnswer(Schema):
    """A token for one app."""

    token: str
    expires_at: datetime
    url: str


class WhyBody(Body):
    """An attempt to explain. `at` is a time with a zone."""

    user: Short = ""
    action: Name
    resource: Named
    login: Annotated[str, StringConstraints(max_length=64)] = ""
    method: Annotated[str, StringConstraints(max_length=32)] = "GET"
    path: Annotated[str, StringConstraints(max_length=4000)] = "/"
    address: Annotated[str, StringConstraints(max_length=64)] = ""
    at: Annotated[datetime | None, Field(strict=False)] = None


class RoleTried(Schema):
    """How one role fared."""

    role: str
    via: str
    outcome: str
    failed: str | None
    text: str


class WhyAnswer(Schema):
    """The decision and why. `terms` are those of a permit."""

    subject: str
    decision: str
    text: str
    hint: str
    reasons: list[ReasonGiven]
    terms: dict[str, Any]
    roles: list[RoleTried]
    assumed: str


# --- administration ---------------------------------------------------------------------------------------------------


class SourceBody(Body):
    """A file's name and text."""

    source: Annotated[str, StringConstraints(max_length=500)] = ""
    text: str


class ApplyBody(Body):
    """Documents to apply, all or nothing."""

    documents: list[SourceBody]
    dry_run: bool = False
    prune: bool = False
    confirm: bool = False


class FieldChanged(Schema):
    path: str
    before: Any = None
    after: Any = None


class Changed(Schema):
    kind: str
    name: str
    change: str
    fields: list[FieldChanged]


class ApplyAnswer(Schema):
    """What was changed, or would be unless `applied`."""

    changes: list[Changed]
    applied: bool
    unchanged: int
    ends_sessions: int


class DocumentList(Schema):
    items: list[dict[str, Any]]


class Ended(Schema):
    """How many sessions a change ends."""

    ends_sessions: int


class LockTarget(Body):
    kind: Name
    name: Name


class LockBody(Body):
    """What to lock, for how long (such as `1h`; without: until lifted), and why."""

    target: LockTarget
    ttl: Annotated[str, StringConstraints(max_length=20)] | None = None
    reason: Short


class LockedThing(Schema):
    kind: str
    name: str


class LockAnswer(Schema):
    id: UUID
    target: LockedThing
    reason: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None


class LockMade(LockAnswer):
    """A new lock and how many sessions it ended."""

    ends_sessions: int


class LockList(Schema):
    items: list[LockAnswer]


class LinkAnswer(Schema):
    """A one-use link; it is told once."""

    url: str
    expires_at: datetime


class ResetAnswer(Schema):
    """No link for who signs in by a provider or directory. `waits_until`: when it takes effect if nobody approves."""

    url: str | None
    expires_at: datetime | None
    ends_sessions: int
    waits_until: datetime | None


class EnableAnswer(Schema):
    enabled: bool


class EnrollBody(Body):
    """The server's public host key, if it is at hand."""

    host_key: Annotated[str, StringConstraints(max_length=8192)] = ""


class TokenAnswer(Schema):
    token: str
    made_at: datetime
    url: str


class EnrollAnswer(Schema):
    script: str
    expires_at: str


class Party(Schema):
    kind: str
    id: str
    name: str


class EventAnswer(Schema):
    """One line of the audit log."""

    seq: int
    at: datetime
    type: str
    actor: Party
    resource: Party
    decision: str
    reasons: list[str]
    address: str
    request_id: str
    login_session_id: str
    access_session_id: str
    data: dict[str, Any]


class EventPage(Schema):
    items: list[EventAnswer]
    next: str | None


class AccessSessionAnswer(Schema):
    """One use of one resource."""

    id: UUID
    protocol: str
    credential: str
    user: str
    resource: str
    login: str
    roles: list[str]
    address: str
    login_session_id: UUID
    certificate_serial: int | None
    started_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_reason: str


class AccessSessionPage(Schema):
    items: list[AccessSessionAnswer]
    next: str | None


class LoginSessionAnswer(Schema):
    """A person signed in."""

    id: UUID
    user: str
    kind: str
    device_name: str
    address: str
    amr: list[str]
    mfa_at: datetime | None
    started_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_reason: str


class LoginSessionPage(Schema):
    items: list[LoginSessionAnswer]
    next: str | None
