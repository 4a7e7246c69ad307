"""The account elsewhere that a provisioned user signs in with: made, moved and removed as their SCIM client says.

A connector of kind `scim` may name an OpenID Provider (`identities_of`): whoever is provisioned is then known there by
one of their attributes, and no account has to be made when they first come.
"""

from __future__ import annotations

from typing import Any

from accounts import connectors
from accounts.models import Connector, Identity
from accounts.services import identities
from accounts.services.unlinking import take_off
from broker.errors import Conflict, Invalid, Unavailable
from broker.policy.claims import Outcome
from broker.services.scim_tokens import ScimClient


def follow_link(client: ScimClient, row: Identity) -> None:
    """Bring the account elsewhere to what the user's record says, in the caller's transaction. Raises Conflict if it
    is somebody else's, Invalid if there is no such provider.
    """
    wanted, had = _wanted(client, row), row.claims.get("link")
    if had and had != wanted:
        _unlink(client, row, had)
    if wanted is not None:
        provider = connectors.named(client.spec.identities_of)
        arrival = identities.Arrival(provider, wanted["issuer"], wanted["subject"], Outcome())
        try:
            identities.link(client.origin, row.user, arrival)
        except identities.Refused:
            raise Conflict(
                f"the account {wanted['subject'][:64]!r} at {provider.name} belongs to another user here",
                "an administrator has to remove it there first",
            ) from None
    if had != wanted:
        row.claims = {key: value for key, value in row.claims.items() if key != "link"}
        if wanted is not None:
            row.claims["link"] = wanted
        row.save(update_fields=["claims"])


def _wanted(client: ScimClient, row: Identity) -> dict[str, str] | None:
    """Issuer and subject of the account that follows from the record; None if none does."""
    spec = client.spec
    if not spec.identities_of:
        return None
    provider = Connector.objects.filter(name=spec.identities_of, kind=Connector.Kind.OIDC).first()
    if provider is None:
        raise Invalid(f"there is no connector of kind oidc called {spec.identities_of!r}", "see identities_of")
    known = {"id": row.subject, **row.claims}
    subject = str(known.get(spec.identity_attribute, ""))
    try:
        return {"issuer": connectors.oidc_spec(provider).issuer, "subject": subject} if subject else None
    except Invalid:
        raise Unavailable(f"the document of connector {provider.name} cannot be read", "write it anew") from None


def _unlink(client: ScimClient, row: Identity, had: dict[str, Any]) -> None:
    """That account is not theirs any more: nobody comes in by it, and who did is out."""
    old = Identity.objects.filter(user=row.user, issuer=had["issuer"], subject=had["subject"])
    for identity in old.select_related("connector"):
        take_off(client.origin, row.user, identity)
