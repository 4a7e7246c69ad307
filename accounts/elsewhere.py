"""Whose sign-in is somebody else's to decide."""

from __future__ import annotations

from accounts.models import Connector, Identity, User

_VOUCHING = (Connector.Kind.OIDC, Connector.Kind.LDAP)


def vouched_for(user: User) -> bool:
    """Whether only a provider or directory says that `user` may come in: an identity there, no password of ours.

    Enabled or not: whoever switches a connector off does not mean to let its people in by a weaker way (L28).
    """
    return not user.has_usable_password() and Identity.objects.filter(user=user, connector__kind__in=_VOUCHING).exists()
