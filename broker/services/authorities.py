"""The certificate authorities: made once at first start, then only loaded."""

from __future__ import annotations

import base64
import functools
import threading

from django.db import transaction

from broker import keystore
from broker import live as live_state
from broker.audit.event import AuthorityCreated
from broker.audit.log import record
from broker.audit.origin import system
from broker.ca import Signer, signer_from
from broker.ca.profile import CertificateKind
from broker.errors import Unavailable
from broker.live import Live
from broker.models import CertificateAuthority

_loading = threading.Lock()


@transaction.atomic
def ensure_authorities() -> list[CertificateAuthority]:
    """Make the user CA and the host CA if this installation has none at all; returns those made.

    An installation that has one but not the other is damaged: nothing is made up for it.
    """
    if CertificateAuthority.objects.select_for_update().exists():
        for kind in CertificateKind:
            if not CertificateAuthority.objects.filter(kind=kind, state="active").exists():
                raise Unavailable(f"the {kind} CA is missing from the database", "restore it from a backup")
        return []
    made = []
    for kind in CertificateKind:
        private, public = keystore.generate_ca_key()
        authority = CertificateAuthority(kind=str(kind), public_key=public, private_key=private)
        authority.save()
        made.append(authority)
        record(
            system("setup"),
            AuthorityCreated(id=str(authority.pk), label=f"{kind} CA", authority=str(kind), public_key=public),
        )
    return made


def active(kind: CertificateKind) -> CertificateAuthority:
    """The authority that signs certificates of this kind now."""
    found = next((row for row in _rows() if row.kind == str(kind) and row.state == "active"), None)
    if found is None:
        raise Unavailable(f"there is no {kind} CA", "run the set-up: manage.py setup")
    return found


def _rows() -> tuple[CertificateAuthority, ...]:
    """All authorities without their private halves, kept until the feed tells of a change."""
    live = live_state.known()
    return _rows_of(live, live.authorities)


@functools.lru_cache(maxsize=1)
def _rows_of(live: Live, generation: int) -> tuple[CertificateAuthority, ...]:
    return tuple(CertificateAuthority.objects.defer("private_key").order_by("state", "created_at"))


def signer(authority: CertificateAuthority) -> Signer:
    """The signer of an authority; its key is opened once per process."""
    with _loading:
        return _signer(str(authority.pk))


@functools.lru_cache(maxsize=16)
def _signer(pk: str) -> Signer:
    authority = CertificateAuthority.objects.get(pk=pk)
    return signer_from(authority.private_key, CertificateKind(authority.kind))


def trusted_lines(kind: CertificateKind) -> list[str]:
    """The public keys to trust for this kind, the active one first, as OpenSSH lines."""
    return [row.public_key for row in _rows() if row.kind == str(kind) and row.state in ("active", "trusted")]


def blobs() -> set[bytes]:
    """All our CA keys in wire form: nobody may bring one of them as their own."""
    return {base64.b64decode(row.public_key.split()[1]) for row in _rows()}
