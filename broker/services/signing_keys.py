"""The keys of identity assertions (ES256, RFC 7518): made at first start, rotated with both published meanwhile."""

from __future__ import annotations

from typing import Any, cast

from django.db import transaction
from joserfc.jwk import ECKey

from broker.audit.event import AuthorityCreated
from broker.audit.log import record
from broker.audit.origin import Origin, system
from broker.errors import Unavailable
from broker.models import SigningKey

ALGORITHM = "ES256"


@transaction.atomic
def ensure_signing_key() -> bool:
    """Make the key if there has never been one; whether one was made."""
    if SigningKey.objects.select_for_update().exists():
        active_key()
        return False
    _make(system("setup"))
    return True


@transaction.atomic
def rotate_signing_key(origin: Origin) -> None:
    """Sign with a new key from now on. The one before stays published, the ones before that do not."""
    SigningKey.objects.select_for_update().filter(state="trusted").update(state="retired")
    SigningKey.objects.filter(state="active").update(state="trusted")
    _make(origin)


def active_key() -> ECKey:
    """The key that signs now, private half included; its `kid` is set."""
    row = SigningKey.objects.filter(state="active").first()
    if row is None:
        raise Unavailable("there is no key to sign identity assertions with", "run the set-up: manage.py setup")
    return ECKey.import_key(row.private_key, {"kid": str(row.pk), "alg": ALGORITHM, "use": "sig"})


def published_keys() -> dict[str, Any]:
    """The JWK set (RFC 7517) that apps verify assertions with, the signing one first."""
    rows = SigningKey.objects.filter(state__in=("active", "trusted")).order_by("state", "-created_at")
    return {"keys": [row.public_jwk for row in rows]}


def _make(origin: Origin) -> None:
    key = ECKey.generate_key("P-256", private=True)
    row = SigningKey(private_key=key.as_pem(private=True).decode())
    public = cast(dict[str, Any], key.as_dict(private=False))
    named = {"kty": public["kty"], "crv": public["crv"], "x": public["x"], "y": public["y"]}
    row.public_jwk = {**named, "kid": str(row.pk), "alg": ALGORITHM, "use": "sig"}
    row.save()
    record(
        origin,
        AuthorityCreated(id=str(row.pk), label="assertion key", authority="assertion", public_key=key.thumbprint()),
    )
