"""Issuing certificates: decide, number, write down, commit; only then sign.

Serial and template are committed with their event before the signature exists, so a crash can lose a certificate but
never the record of one. `_issue()` is the only caller of the CA's one `sign()`.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from broker import live as live_state
from broker.audit.event import CertificateIssued, Event, ServerEnrolled, SshSessionStarted
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.ca import (
    ACCESS,
    HOST,
    IDENTITY,
    CertificateTemplate,
    Profile,
    PublicKey,
    access_template,
    host_template,
    identity_template,
    lint,
    parse_public_key,
    sign,
)
from broker.errors import NotFound
from broker.live import Live, LiveServer
from broker.models import AccessSession, Certificate, Server
from broker.policy import Attempt, Context, Resource, Subject
from broker.policy.attempt import CERTIFICATE_ISSUE, SSH_SESSION
from broker.services import authorities
from broker.services.decisions import permit
from broker.services.spending import held_login, refusing, spend

SUFFIX = "postern"


@dataclass(frozen=True, slots=True)
class Issued:
    """A signed certificate and what was written down of it before."""

    certificate: str
    template: CertificateTemplate
    server: LiveServer | None = None


def issue_access(
    origin: Origin,
    subject: Subject | None,
    server_name: str,
    login: str,
    public_key: str,
    live: Live | None = None,
) -> Issued:
    """An access certificate for `login` on one server, five minutes at most. `live` if the caller has just caught up.

    Raises `Denied`, `NotFound` (no such server, or nothing of it is yours) and `Invalid` (the key).
    """
    live = live or live_state.current()
    server = live.server_named(server_name)
    key = parse_public_key(public_key, authorities.blobs())
    resource = server.resource if server else Resource("server", "", server_name[:63])
    context = Context(time.time(), origin.address)
    attempt = Attempt(subject, SSH_SESSION, resource, context, login=login)
    granted = permit(origin, attempt, live)
    if server is None or subject is None or subject.login is None:
        raise NotFound(f"there is no server {server_name[:63]!r}", "list yours with: postern ls servers")
    now = int(context.at)
    ttl = int(min(settings.POSTERN.access_certificate_ttl, granted.max_ttl or ACCESS.max_ttl, ACCESS.max_ttl))

    def template(serial: int) -> CertificateTemplate:
        return access_template(
            serial=serial,
            subject_name=subject.name,
            login=login,
            server=server.name,
            key=key,
            now=now,
            ttl=ttl,
            until=granted.ends_at or None,
            pty=granted.pty,
            forward_ports=granted.forward_ports,
            forward_agent=granted.forward_agent,
            forward_x11=granted.forward_x11,
            source_address=_source_address(origin.address, server) if granted.pin_source else "",
        )

    session_id = subject.login.id
    own = granted.mfa_reuse != float("inf")

    def started(certificate: Certificate) -> tuple[Event, ...]:
        mfa_at = spend(held_login(session_id), attempt, live) if own else None
        session = AccessSession.objects.create(
            protocol="ssh",
            credential=AccessSession.Credential.CERTIFICATE,
            login_session_id=session_id,
            user_id=subject.id,
            user_name=subject.name,
            resource_id=server.id,
            resource_name=server.name,
            login=login,
            roles=list(granted.roles),
            mfa_at=mfa_at,
            address=origin.address,
            certificate_serial=certificate.serial,
            started_at=certificate.issued_at,
            last_used_at=certificate.issued_at,
            expires_at=certificate.valid_before,
        )
        shared: dict[str, Any] = {
            "id": server.id,
            "label": server.name,
            "decision": "permit",
            "reasons": (str(granted.reason),),
            "access_session_id": str(session.pk),
            "serial": certificate.serial,
            "login": login,
            "roles": granted.roles,
        }
        return (
            CertificateIssued(resource_kind="server", **shared, **_about(certificate)),
            SshSessionStarted(**shared, also_touches=(f"login_session:{session_id}",) if own else ()),
        )

    with refusing(origin, attempt):
        return _issue(origin, ACCESS, key, template, started, subject=subject, server=server)


def issue_identity(origin: Origin, subject: Subject | None, public_key: str) -> Issued:
    """An identity certificate: who the subject is, an hour at most. Raises `Denied` and `Invalid`."""
    key = parse_public_key(public_key, authorities.blobs())
    context = Context(time.time(), origin.address)
    name = subject.name if subject else ""
    granted = permit(origin, Attempt(subject, CERTIFICATE_ISSUE, Resource("certificate", "", name), context))
    ttl = int(min(settings.POSTERN.identity_certificate_ttl, granted.max_ttl or IDENTITY.max_ttl, IDENTITY.max_ttl))

    def template(serial: int) -> CertificateTemplate:
        return identity_template(
            serial=serial, subject_name=name, key=key, now=int(context.at), ttl=ttl, until=granted.ends_at or None
        )

    def issued(certificate: Certificate) -> tuple[Event, ...]:
        return (
            CertificateIssued(
                id=str(certificate.serial),
                label=name,
                decision="permit",
                reasons=(str(granted.reason),),
                serial=certificate.serial,
                **_about(certificate),
            ),
        )

    return _issue(origin, IDENTITY, key, template, issued, subject=subject)


def issue_host(origin: Origin, server: Server, public_key: str) -> Issued:
    """A host certificate for an enrolled server's key; the names come from our record of it, not from the caller."""
    live_state.current()  # authorities may have changed
    key = parse_public_key(public_key, authorities.blobs())
    now = int(time.time())
    names = (f"{server.name}.{SUFFIX}", server.name)

    def template(serial: int) -> CertificateTemplate:
        return host_template(serial=serial, server=server.name, names=names, key=key, now=now)

    def issued(certificate: Certificate) -> tuple[Event, ...]:
        shared: dict[str, Any] = {"id": str(server.pk), "label": server.name, "serial": certificate.serial}
        return (
            CertificateIssued(resource_kind="server", **shared, **_about(certificate)),
            ServerEnrolled(host_key=key.fingerprint, **shared),
        )

    return _issue(origin, HOST, key, template, issued, server_row=server)


def _about(certificate: Certificate) -> dict[str, Any]:
    return {
        "profile": certificate.kind,
        "key_id": certificate.key_id,
        "principals": tuple(certificate.principals),
        "valid_before": certificate.valid_before.isoformat(),
        "public_key": certificate.public_key_fingerprint,
    }


def _issue(
    origin: Origin,
    profile: Profile,
    key: PublicKey,
    template_of: Callable[[int], CertificateTemplate],
    events_of: Callable[[Certificate], tuple[Event, ...]],
    *,
    subject: Subject | None = None,
    server: LiveServer | None = None,
    server_row: Server | None = None,
) -> Issued:
    """Number, lint, write down, commit, sign. The only way a certificate comes to be."""
    authority = authorities.active(profile.kind)
    signer = authorities.signer(authority)
    now = datetime.now(UTC)
    with transaction.atomic(durable=True):
        template = template_of(_next_serial())
        checked = lint(template, profile, int(now.timestamp()))
        row = Certificate.objects.create(
            serial=template.serial,
            kind=profile.name,
            authority=authority,
            key_id=template.key_id,
            principals=list(template.principals),
            template=template.to_json(),
            public_key_fingerprint=key.fingerprint,
            subject_id=subject.id if subject else None,
            subject_name=subject.name if subject else "",
            login_session_id=subject.login.id if subject and subject.login else None,
            server_id=server.id if server else server_row.pk if server_row else None,
            issued_at=now,
            valid_before=datetime.fromtimestamp(template.valid_before, UTC),
        )
        if server_row:
            Server.objects.filter(pk=server_row.pk).update(enrolled_at=now, host_key_fingerprint=key.fingerprint)
        record(origin, *events_of(row))
    return Issued(sign(checked, signer, os.urandom(32)), template, server)


def _next_serial() -> int:
    """A serial that no certificate had and none will have again: both databases count on where rows are gone.

    SQLite's count moves when the row is written, and until then the transaction holds the one write lock there is.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT nextval(pg_get_serial_sequence('broker_certificate', 'serial'))")
        else:
            cursor.execute("SELECT COALESCE(MAX(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'broker_certificate'")
        serial: int = cursor.fetchone()[0]
    return serial


def _source_address(address: str, server: LiveServer) -> str:
    """What to pin an access certificate to: the caller's address, where the server will see the same one.

    A caller on our own machine is seen under another address by any other machine, and cannot be pinned.
    """
    try:
        ours = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if not ours.is_loopback:
        return address
    return "127.0.0.0/8,::1/128" if _is_loopback(server.spec.host) else ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
