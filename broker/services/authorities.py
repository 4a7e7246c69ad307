"""The certificate authorities: made once at first start, then only loaded."""

from __future__ import annotations

import base64
import functools
import threading

from django.db import transaction

from broker import keystore
from broker.audit.event import AuthorityCreated
from broker.audit.log import record
from broker.audit.origin import system
from broker.ca import Signer, signer_from
from broker.ca.profile import CertificateKind
from broker.errors import Unavailable
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
    found = CertificateAuthority.objects.filter(kind=str(kind), state="active").first()
    if found is None:
        raise Unavailable(f"there is no {kind} CA", "run the set-up: manage.py setup")
    return found


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
    rows = CertificateAuthority.objects.filter(kind=str(kind), state__in=("active", "trusted")).order_by("state")
    return [row.public_key for row in rows]


def blobs() -> set[bytes]:
    """All our CA keys in wire form: nobody may bring one of them as their own."""
    lines = CertificateAuthority.objects.values_list("public_key", flat=True)
    return {base64.b64decode(line.split()[1]) for line in lines}
