"""Starting and ending login sessions. What hangs off an ended one is cut by the followers of the feed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import sessions
from accounts.authenticators import second_factor
from accounts.models import (
    Confirmation,
    Invite,
    LoginSession,
    OAuthCode,
    OneUse,
    PasskeyChallenge,
    ProviderFlow,
    SignIn,
    Throttle,
    User,
)
from broker.audit.event import Event, LoginSessionConfirmed, LoginSessionEnded, LoginSessionStarted
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import NotFound
from broker.policy.terms import PHISHING_RESISTANT
from broker.tokens import digest, new_token

SECOND_FACTORS = second_factor.AMR | PHISHING_RESISTANT
"""What in `amr` says how a second factor was given, here or (a smart card) at a provider."""

SPENT_ELSEWHERE = datetime(1970, 1, 2, tzinfo=UTC)
"""When a confirmation was spent that is another login session's to use: too long ago for any `mfa_reuse`."""

KEEP = timedelta(days=30)
"""How long used invites, codes and abandoned sign-ins are kept before housekeeping removes them."""


@transaction.atomic
def end_login_session(origin: Origin, session: LoginSession, why: str = "signed-out") -> bool:
    """End one session; False if it had ended before."""
    ended = ended_events([session], why)
    if ended:
        record(origin, *ended)
    return bool(ended)


@transaction.atomic
def revoke_login_session(origin: Origin, user: User, session_id: UUID) -> LoginSession:
    """End one of the user's own sessions by id. Raises NotFound for another's as for none."""
    session = LoginSession.objects.filter(user=user, pk=session_id, ended_at=None).first()
    if session is None:
        raise NotFound("there is no such session", "it may have ended already")
    end_login_session(origin, session, "revoked")
    return session


@transaction.atomic
def sign_out_everywhere(
    origin: Origin, user: User, keep: LoginSession | None = None, why: str = "sign-out-everywhere"
) -> int:
    """End all sessions of a user, CLIs included, but `keep`; answers how many. Sign-ins under way die as well."""
    ended = end_all(user, why, keep)
    if ended:
        record(origin, *ended)
    return len(ended)


@transaction.atomic
def confirm_login_session(
    origin: Origin,
    session: LoginSession,
    amr: Iterable[str],
    at: datetime | None = None,
    also_touches: tuple[str, ...] = (),
) -> str:
    """A factor was proved again (`at`; now): renew the time of the second factor, and it is spent on nothing yet.

    In `amr` it takes the place of the one given before: who demands a kind means that of the newest. Answers the new
    token of a browser (the old one dies); a CLI's is bound to its key and stays.
    """
    proved = set(amr)
    kept = {name for name in session.amr if name not in SECOND_FACTORS or name == "mfa"}
    session.amr = sorted(kept | proved)
    session.mfa_at, session.mfa_spent_at = at or timezone.now(), None
    session.save(update_fields=["amr", "mfa_at", "mfa_spent_at"])
    token = rotate_token(session) if session.kind == LoginSession.Kind.BROWSER else ""
    record(
        origin,
        LoginSessionConfirmed(
            id=str(session.pk),
            label=session.device_name,
            user_id=str(session.user_id),
            user_name=session.user.username,
            amr=tuple(session.amr),
            also_touches=also_touches,
        ),
    )
    return token


def expire_sessions() -> int:
    """Housekeeping: end what has run out, and drop what nobody needs any more. Answers how many sessions ended."""
    from broker.audit.origin import system

    now = timezone.now()
    with transaction.atomic():
        over = LoginSession.objects.filter(sessions.over(now), ended_at=None).select_related("user")
        ended = ended_events(over, "expired")
        if ended:
            record(system("housekeeping"), *ended)
    SignIn.objects.filter(expires_at__lt=now).delete()
    PasskeyChallenge.objects.filter(expires_at__lt=now).delete()
    ProviderFlow.objects.filter(expires_at__lt=now).delete()
    OneUse.objects.filter(expires_at__lt=now).delete()
    Invite.objects.filter(expires_at__lt=now - KEEP).delete()
    OAuthCode.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()
    Confirmation.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()
    Throttle.objects.filter(updated_at__lt=now - timedelta(days=2)).delete()
    return len(ended)


def end_all(user: User, why: str, keep: LoginSession | None = None, going_on: SignIn | None = None) -> list[Event]:
    """End what a user has open but `keep` and under way but `going_on`; the events to record. In a transaction."""
    kept = [keep.pk] if keep else []
    SignIn.objects.filter(user=user).exclude(pk__in=[going_on.pk] if going_on else []).delete()
    OAuthCode.objects.filter(login_session__user=user, used_at=None).exclude(login_session__in=kept).delete()
    Confirmation.objects.filter(login_session__user=user, answered_at=None).exclude(login_session__in=kept).delete()
    live = LoginSession.objects.filter(user=user, ended_at=None).exclude(pk__in=kept).select_related("user")
    return ended_events(live, why)


def ended_events(ending: Iterable[LoginSession], why: str) -> list[Event]:
    """Mark sessions as ended, each once whoever else does so; the events to record. Call it in a transaction."""
    now = timezone.now()
    events: list[Event] = []
    for session in sorted(
        ending, key=lambda one: one.pk
    ):  # in one order, or two who end the same ones hold each other up
        row = LoginSession.objects.filter(pk=session.pk, ended_at=None)
        if row.update(ended_at=now, ended_reason=why):
            session.ended_at, session.ended_reason = now, why
            events.append(
                LoginSessionEnded(
                    id=str(session.pk),
                    label=session.device_name,
                    user_id=str(session.user_id),
                    user_name=session.user.username,
                    why=why,
                )
            )
    return events


def rotate_token(session: LoginSession) -> str:
    """A new token for a session; the old one opens nothing any more."""
    token = new_token("")
    session.token_hash = digest(token)
    session.save(update_fields=["token_hash"])
    return token


def start(
    origin: Origin,
    user: User,
    *,
    token: str,
    kind: LoginSession.Kind,
    amr: Iterable[str],
    mfa_at: datetime | None,
    user_agent: str = "",
    device_name: str = "",
    parent: LoginSession | None = None,
    via: str = "local",
    key_thumbprint: str = "",
) -> tuple[LoginSession, Event]:
    """A new session opened by `token`, and the event to record. Call it in a transaction."""
    now = timezone.now()
    longest = settings.POSTERN.cli_session_max if kind == LoginSession.Kind.CLI else settings.POSTERN.session_max
    session = LoginSession.objects.create(
        user=user,
        kind=kind,
        token_hash=digest(token),
        parent=parent,
        via=via,
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(seconds=longest),
        amr=sorted(set(amr)),
        mfa_at=mfa_at,
        key_thumbprint=key_thumbprint,
        address=origin.address,
        last_address=origin.address,
        user_agent=user_agent[:300],
        device_name=device_name[:100],
    )
    return session, LoginSessionStarted(
        id=str(session.pk),
        label=session.device_name,
        user_id=str(user.pk),
        user_name=user.username,
        session_kind=kind,
        via=via,
        amr=tuple(session.amr),
        device_name=session.device_name,
        user_agent=session.user_agent,
    )
