"""From a user and the login session they act under to the subject of a decision."""

from __future__ import annotations

from collections.abc import Iterable

from accounts.models import LoginSession, Membership, User
from accounts.sessions import ends_at
from broker.policy import Login, Subject


def subject_of(user: User, session: LoginSession | None, groups: Iterable[str] | None = None) -> Subject:
    """The subject; group names are looked up unless given."""
    if groups is None:
        groups = Membership.objects.filter(user=user).values_list("group__name", flat=True)
    return Subject(
        id=str(user.pk),
        name=user.username,
        kind="machine" if user.kind == User.Kind.MACHINE else "person",
        groups=frozenset(groups),
        traits={name: tuple(values) for name, values in user.traits.items()},
        active=user.is_active,
        login=login_of(session) if session else None,
    )


def login_of(session: LoginSession) -> Login:
    """A login session as decisions see it."""
    return Login(
        id=str(session.pk),
        started_at=session.created_at.timestamp(),
        expires_at=ends_at(session).timestamp(),
        amr=frozenset(session.amr),
        mfa_at=session.mfa_at.timestamp() if session.mfa_at else None,
    )
