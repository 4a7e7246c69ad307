"""Login sessions for the CLI: a browser that is signed in writes a code, the CLI exchanges it for a token, once."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts import sessions
from accounts.cli_token import PREFIX
from accounts.models import LoginSession, OAuthCode
from accounts.services.login_sessions import SPENT_ELSEWHERE, end_login_session, start
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.tokens import digest, new_token

CODE_TTL = timedelta(seconds=60)


@transaction.atomic
def write_code(
    origin: Origin,
    session: LoginSession,
    *,
    client_id: str,
    redirect_uri: str,
    code_challenge: str,
    key_thumbprint: str,
    device_name: str,
) -> str:
    """A one-use code, good for a minute, for whoever knows the verifier of `code_challenge` and has the key."""
    code = new_token("")
    OAuthCode.objects.create(
        code_hash=digest(code),
        login_session=session,
        client_id=client_id,
        redirect_uri=redirect_uri,
        code_challenge=code_challenge,
        key_thumbprint=key_thumbprint,
        device_name=device_name[:100],
        address=origin.address,
        expires_at=timezone.now() + CODE_TTL,
    )
    return code


def find_code(origin: Origin, code: str, client_id: str) -> OAuthCode | None:
    """The code if it is good, its row locked. One that comes a second time ends the session that the first made.

    Call it in a transaction.
    """
    rows = OAuthCode.objects.select_for_update(of=("self",)).select_related("login_session__user", "made__user")
    row = rows.filter(code_hash=digest(code), client_id=client_id).first()
    if row is None:
        return None
    if row.made:
        end_login_session(origin, row.made, "code-used-twice")
    now = timezone.now()
    alive = sessions.live(now).filter(pk=row.login_session_id).exists()
    return row if alive and row.is_good(now) else None


@transaction.atomic
def start_cli_session(origin: Origin, code: OAuthCode, user_agent: str) -> tuple[LoginSession, str]:
    """Use up a good code: a CLI session with the proofs of the browser session that wrote it. Answers its token too.

    The token is bound to the key that the code is for; that the caller has this key must have been proved.
    """
    parent, token = code.login_session, new_token(PREFIX)
    session, started = start(
        origin,
        parent.user,
        token=token,
        kind=LoginSession.Kind.CLI,
        amr=parent.amr,
        mfa_at=parent.mfa_at,
        user_agent=user_agent,
        device_name=code.device_name,
        parent=parent,
        via=parent.via,
        key_thumbprint=code.key_thumbprint,
    )
    # Given in the browser, it confirms what is done there: what wants a confirmation of its own asks for another one.
    session.mfa_spent_at = SPENT_ELSEWHERE
    session.save(update_fields=["mfa_spent_at"])
    code.used_at, code.made = timezone.now(), session
    code.save(update_fields=["used_at", "made"])
    record(origin, started)
    return session, token
