"""What I have open: my login sessions, the CLIs under the browser that let them in, and what each has opened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts import sessions
from accounts.connectors import spec_of
from accounts.models import Connector, LoginSession, User
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Conflict, Invalid, NotFound
from broker.models import AccessSession
from broker.services.access_sessions import ended_events

PROOFS = {
    "pwd": "password",
    "otp": "authenticator app",
    "hwk": "security key",
    "swk": "passkey",
    "rc": "recovery code",
}
OWN_FACTORS = frozenset(PROOFS) - {"pwd"}


@dataclass(frozen=True, slots=True)
class MyUse:
    """An access session that is open. One by certificate cannot be ended: it runs out within minutes."""

    id: UUID
    protocol: str
    credential: str
    resource: str
    login: str
    address: str
    started_at: datetime
    last_used_at: datetime
    expires_at: datetime

    @property
    def name(self) -> str:
        """`grafana`, or `root@db-1`."""
        return f"{self.login}@{self.resource}" if self.login else self.resource

    @property
    def may_end(self) -> bool:
        """Whether it can be ended by itself."""
        return self.credential != AccessSession.Credential.CERTIFICATE


@dataclass(frozen=True, slots=True)
class MySession:
    """A login session that is open. `signed_in_with` says how in plain words, `via` in those of the model.

    `clis` are the command lines that this browser let in; they go on when it ends.
    """

    id: UUID
    kind: str
    device_name: str
    address: str
    last_address: str
    via: str
    signed_in_with: str
    amr: tuple[str, ...]
    mfa_at: datetime | None
    started_at: datetime
    last_seen_at: datetime
    ends_at: datetime
    current: bool
    uses: tuple[MyUse, ...]
    clis: tuple[MySession, ...] = ()

    @property
    def cuts(self) -> int:
        """How many sessions end with this one, itself included."""
        return 1 + len(self.uses)


def list_my_sessions(user: User, current: LoginSession | None = None) -> list[MySession]:
    """All that the user has open: the current session first, then the one used last."""
    rows = list(sessions.live(timezone.now()).filter(user=user).order_by("-last_seen_at"))
    uses = _uses_of(row.pk for row in rows)
    names = _connector_names({row.via for row in rows})
    here = current.pk if current else None
    alive = {row.pk for row in rows}
    clis: dict[UUID | None, list[MySession]] = {}
    for row in rows:
        if row.parent_id in alive:
            clis.setdefault(row.parent_id, []).append(_session(row, here, uses, names, ()))
    found = [
        _session(row, here, uses, names, tuple(clis.get(row.pk, ()))) for row in rows if row.parent_id not in alive
    ]
    return sorted(found, key=lambda one: not (one.current or any(cli.current for cli in one.clis)))


def flat(found: Iterable[MySession]) -> list[MySession]:
    """The same without the tree: each browser before its command lines."""
    return [one for session in found for one in (session, *session.clis)]


def end_my_use(origin: Origin, user: User, use_id: UUID) -> str:
    """End one of the user's own access sessions; answers what it was at. Raises NotFound for another's as for none."""
    row = AccessSession.objects.filter(pk=use_id, user_id=user.pk, ended_at=None, expires_at__gt=timezone.now()).first()
    if row is None:
        raise NotFound("there is no such session", "it may have ended already")
    if row.credential == AccessSession.Credential.CERTIFICATE:
        raise Conflict("a certificate cannot be called back; it runs out within minutes", "end the session it hangs on")
    with transaction.atomic():
        ended = ended_events("revoked", pk=row.pk)
        if ended:
            record(origin, *ended)
    return row.resource_name


def words_for(via: str, amr: Iterable[str], names: dict[str, str]) -> str:
    """`password and authenticator app`, `passkey`, `Keycloak, with its second factor`."""
    proved = list(amr)
    own = [PROOFS[name] for name in PROOFS if name in proved]
    if via == "local":
        return " and ".join(own) or "nothing known"
    where = names.get(via, via)
    if not OWN_FACTORS.isdisjoint(proved):
        return f"{where} and {' and '.join(PROOFS[name] for name in PROOFS if name in OWN_FACTORS & set(proved))}"
    return f"{where}, with its second factor" if "mfa" in proved else where


def connector_names() -> dict[str, str]:
    """What each connector is called for people, by its source (`oidc:NAME`)."""
    return {row.source: _display(row) for row in Connector.objects.all()}


def _connector_names(vias: set[str]) -> dict[str, str]:
    return connector_names() if vias - {"local"} else {}


def _display(row: Connector) -> str:
    try:
        return getattr(spec_of(row), "display", "") or row.name
    except Invalid:
        return row.name


def _uses_of(logins: Iterable[UUID]) -> dict[UUID, tuple[MyUse, ...]]:
    rows = AccessSession.objects.filter(
        login_session_id__in=list(logins), ended_at=None, expires_at__gt=timezone.now()
    ).order_by("-last_used_at")
    found: dict[UUID, tuple[MyUse, ...]] = {}
    for row in rows:
        use = MyUse(
            id=row.pk,
            protocol=row.protocol,
            credential=row.credential,
            resource=row.resource_name,
            login=row.login,
            address=row.address,
            started_at=row.started_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
        )
        found[row.login_session_id] = (*found.get(row.login_session_id, ()), use)
    return found


def _session(
    row: LoginSession,
    here: UUID | None,
    uses: dict[UUID, tuple[MyUse, ...]],
    names: dict[str, str],
    clis: tuple[MySession, ...],
) -> MySession:
    return MySession(
        id=row.pk,
        kind=row.kind,
        device_name=row.device_name,
        address=row.address,
        last_address=row.last_address,
        via=row.via,
        signed_in_with=words_for(row.via, row.amr, names),
        amr=tuple(row.amr),
        mfa_at=row.mfa_at,
        started_at=row.created_at,
        last_seen_at=row.last_seen_at,
        ends_at=sessions.ends_at(row),
        current=row.pk == here,
        uses=uses.get(row.pk, ()),
        clis=clis,
    )
