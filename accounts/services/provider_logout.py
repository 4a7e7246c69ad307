"""Signing out there and here: RP-initiated logout leads to the provider, back-channel logout comes from it.

OpenID Connect RP-Initiated Logout 1.0 and Back-Channel Logout 1.0.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import connectors
from accounts.models import Connector, LoginSession, OneUse, ProviderSession, SignIn
from accounts.oidc import keys, tokens
from accounts.oidc.discovery import provider_of
from accounts.oidc.errors import NotBelieved, ProviderError
from accounts.oidc.flow import sign_out_url
from accounts.services.login_sessions import ended_events
from broker.audit.connector_event import ProviderLogout
from broker.audit.event import Event
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Invalid, NotFound
from broker.tokens import digest

LONGEST_HINT = 6000
"""Characters of an ID token that fit into an address; without it the provider asks its visitor."""

WHY = "provider-logout"
"""What the sessions that a provider ends are ended by."""


@dataclass(frozen=True, slots=True)
class SigningOut:
    """Where a browser signs out at its provider. The address holds an ID token; it opens nothing."""

    url: str = field(repr=False)
    display: str


def at_provider(session: LoginSession) -> SigningOut | None:
    """How to sign out at the provider that a session came from; None if there is none, or it cannot be asked now."""
    known = ProviderSession.objects.filter(login_session=session).select_related("connector").first()
    if known is None:
        return None
    try:
        spec = connectors.oidc_spec(known.connector)
        provider = provider_of(spec)
    except (ProviderError, Invalid):
        return None
    if not spec.logout or not provider.end_session_endpoint:
        return None
    hint = known.id_token if len(known.id_token) <= LONGEST_HINT else ""
    return SigningOut(sign_out_url(spec, provider, hint), spec.display or spec.name)


def log_out(origin: Origin, name: str, token: str) -> int:
    """A back-channel logout: ends what came from that session, or that person, there; answers how many sessions.

    Sign-ins under way and CLI sessions that hang off are among them. A connector that is switched off still may end.
    Raises NotFound, NotBelieved, ProviderFailed.
    """
    connector = Connector.objects.filter(kind=Connector.Kind.OIDC, name=name).first()
    if connector is None:
        raise NotFound("there is no such connector")
    spec = connectors.oidc_spec(connector)
    provider, now = provider_of(spec), timezone.now()
    claims = tokens.logout_token(
        token,
        lambda header: keys.key_for(spec, provider, header),
        spec.issuer,
        spec.client_id,
        int(now.timestamp()),
    )
    with transaction.atomic():
        _use_once(connector, claims["jti"], datetime.fromtimestamp(claims["exp"] + tokens.SKEW, UTC))
        return _end(origin, connector, claims.get("sub", ""), claims.get("sid", ""))


def _use_once(connector: Connector, jti: str, until: datetime) -> None:
    try:
        with transaction.atomic():
            OneUse.objects.create(key=f"logout:{connector.pk}:{digest(jti)}", expires_at=until)
    except IntegrityError:
        raise NotBelieved("used-twice", "this logout token was used before") from None


def _end(origin: Origin, connector: Connector, subject: str, sid: str) -> int:
    about = {name: value for name, value in (("subject", subject), ("sid", sid)) if value}
    # A session whose ID token did not say its `sid` may be the one that is named: if it is theirs, it ends.
    names = [about, {"subject": subject, "sid": ""}] if subject and sid else [about]
    known = ProviderSession.objects.filter(_any_of(names), connector=connector).select_related("login_session__user")
    SignIn.objects.filter(_any_of(names, "state__provider__"), via=connector.source).delete()
    ended = end_with_children([row.login_session for row in known], WHY)
    said = ProviderLogout(
        id=str(connector.pk),
        label=connector.name,
        connector_kind=connector.kind,
        subject=subject,
        sessions=len(ended),
    )
    record(origin, *ended, said)
    return len(ended)


def _any_of(names: Iterable[Mapping[str, str]], prefix: str = "") -> Q:
    return functools.reduce(Q.__or__, (Q(**{f"{prefix}{key}": said for key, said in name.items()}) for name in names))


def end_with_children(sessions: Iterable[LoginSession], why: str) -> list[Event]:
    """End sessions and the CLI sessions that hang off them, also off those that ended before; the events to record.

    Call it in a transaction.
    """
    pks = [session.pk for session in sessions]
    found = LoginSession.objects.filter(Q(pk__in=pks) | Q(parent__in=pks), ended_at=None).select_related("user")
    return ended_events(found, why)
