"""Taking an account at a provider or directory off a user again."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from accounts.authenticators import second_factor
from accounts.models import Connector, Identity, LoginSession, Notice, Passkey, User
from accounts.services.login_sessions import ended_events
from accounts.services.notices import tell
from accounts.services.users import set_groups
from broker.audit.connector_event import IdentityUnlinked
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Conflict, NotFound

SIGNS_IN = (Connector.Kind.OIDC, Connector.Kind.LDAP)


def has_other_way(user: User, identity: Identity) -> bool:
    """Whether the user can still come in without this identity."""
    if user.has_usable_password() and second_factor.has_any(user):
        return True
    if Passkey.objects.filter(user=user, confirmed=True).exists():
        return True
    others = Identity.objects.filter(user=user, connector__enabled=True, connector__kind__in=SIGNS_IN)
    return others.exclude(pk=identity.pk).exists()


def keeps(identity: Identity, user: User) -> bool:
    """Whether who comes in is not the user's to decide: their account is kept in that directory, or at that provider
    alone. Without it a passkey of theirs would do, and nobody would hear that they have left there.
    """
    if user.has_usable_password():
        return False
    if identity.connector.kind == Connector.Kind.LDAP:
        return True
    return not Identity.objects.filter(user=user, connector__kind__in=SIGNS_IN).exclude(pk=identity.pk).exists()


def may_unlink(user: User, identity: Identity) -> bool:
    """Whether the user may take the identity off themselves."""
    return identity.connector.kind in SIGNS_IN and has_other_way(user, identity) and not keeps(identity, user)


@transaction.atomic
def unlink(origin: Origin, user: User, identity_id: UUID, keep: LoginSession | None = None) -> str:
    """The identity is nobody's; the groups it gave go, and the sessions begun by it end but `keep`. Answers the name of
    the connector. Raises NotFound for another's as for none, Conflict if nobody could come in any more, or only because
    nobody elsewhere is asked any more.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    identity = Identity.objects.filter(user=user, pk=identity_id).select_related("connector").first()
    if identity is None:
        raise NotFound("there is no such connection", "it may be gone already")
    if identity.connector.kind not in SIGNS_IN:
        raise Conflict("what keeps this account from elsewhere stays connected", "ask an administrator")
    if not has_other_way(user, identity):
        raise Conflict("this is the only way you can sign in", "ask an administrator for another one first")
    if keeps(identity, user):
        raise Conflict("your account is kept elsewhere and stays connected", "ask an administrator")
    return take_off(origin, user, identity, keep)


def take_off(origin: Origin, user: User, identity: Identity, keep: LoginSession | None = None) -> str:
    """The same without asking whether the user can still come in. Call it in a transaction."""
    connector, source = identity.connector.name, identity.connector.source
    subject = identity.subject
    identity.delete()
    set_groups(origin, user, (), source=source)
    begun = LoginSession.objects.filter(user=user, via=source, ended_at=None).select_related("user")
    ended = ended_events(begun.exclude(pk=keep.pk) if keep else begun, "identity-unlinked")
    tell(origin, user, Notice.Kind.IDENTITY_UNLINKED, connector=connector)
    record(origin, IdentityUnlinked(id=str(user.pk), label=user.username, connector=connector, subject=subject), *ended)
    return connector
