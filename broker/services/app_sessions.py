"""App sessions: a login session becomes the use of one app, in a browser (one-time code) or a command line (token)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import LoginSession
from broker import live as live_state
from broker.audit.event import AppSessionStarted
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Denied, Invalid, NotFound
from broker.live import Live, LiveApp
from broker.models import AccessSession, Launch
from broker.policy import Attempt, Context, Denial, Permit, Reason, Subject, terms_of_use
from broker.policy.attempt import APP_REQUEST
from broker.services.access_sessions import ended_events
from broker.services.decisions import denied, permit, record_denial, subject_now
from broker.services.spending import held_login, refusing, spend, spend_for_use
from broker.tokens import digest, new_token, same

CODE_SECONDS = 60
CALLBACK = "/.postern/callback"
TOKEN_PREFIX = "ptn_app_"  # noqa: S105 - what tokens begin with, not one
_LONGEST_NEXT = 4000
# The role opens the app, though not this path or not by GET: each request made with the token is decided anyway.
_OPENS_OTHERWISE = frozenset({Reason.PATH_NOT_ALLOWED, Reason.METHOD_NOT_ALLOWED})


def app_named(live: Live, name: str) -> LiveApp:
    """The app of that name. Raises NotFound."""
    app = live.app_named(name)
    if app is None:
        raise NotFound(f"there is no app {name!r}", "see what you can open on the start page")
    return app


def launch(origin: Origin, login: LoginSession, app_name: str, next: str, state: str) -> str:
    """The address that opens the app at the path `next`, with a one-time code for the browser that keeps `state`.

    `state` is the SHA-256 of that browser's state cookie on the app's host, in hex. Without one the app's own
    address is answered, where such a cookie is given out. Raises NotFound, Denied.
    """
    live = live_state.current()
    app = app_named(live, app_name)
    target = safe_target(next)
    allowed = permit(origin, _attempt(origin, live, app, login, target), live)
    address = settings.POSTERN.app_url(app.host)
    if allowed.reason is Reason.PUBLIC_PATH or not _is_digest(state):
        return address + target
    code = new_token("")
    expires_at = timezone.now() + timedelta(seconds=CODE_SECONDS)
    with transaction.atomic():
        Launch.objects.filter(expires_at__lt=timezone.now()).delete()
        Launch.objects.create(
            code_hash=digest(code),
            state_hash=state,
            app_id=app.id,
            login_session=login,
            next=target,
            expires_at=expires_at,
        )
    return f"{address}{CALLBACK}?code={quote(code)}"


def redeem(origin: Origin, app_id: str, code: str, state: str) -> tuple[str, AccessSession, str]:
    """The app cookie's token, its access session and the path to go to. `state` is the cookie of the app's host.

    A code works once: it is gone with the first use, right or wrong. Raises Invalid, NotStarted.
    """
    found = _take(app_id, code, state)
    if found is None:
        raise Invalid("this sign-in has been used or has run out", "open the app again")
    login = found.login_session
    acting = _acting(origin, login)
    live = live_state.current()
    app = live.apps.get(app_id)
    if app is None:
        raise NotFound("there is no such app")
    attempt = _attempt(acting, live, app, login, found.next)
    token = new_token("")
    try:
        access = _start_in_browser(acting, live, app, login, attempt, digest(token))
    except Denied as error:
        raise NotStarted(error, found.next) from None
    return token, access, found.next


class NotStarted(Denied):
    """A launch that was permitted comes to nothing at its end; `target` is where it was to lead."""

    def __init__(self, error: Denied, target: str) -> None:
        super().__init__(error.denial, error.message, error.hint)
        self.target = target


def _start_in_browser(
    acting: Origin, live: Live, app: LiveApp, login: LoginSession, attempt: Attempt, token_hash: str
) -> AccessSession:
    allowed = permit(acting, attempt, live)
    if allowed.reason is Reason.PUBLIC_PATH:
        raise Invalid("this page needs no session", "open the app again")
    cookie, longest = AccessSession.Credential.COOKIE, settings.POSTERN.session_max

    def confirmation(held: LoginSession) -> datetime | None:
        return spend(held, attempt, live)

    with refusing(acting, attempt):
        return _start(acting, app, login, allowed, cookie, token_hash, longest, confirmation)


@transaction.atomic
def _take(app_id: str, code: str, state: str) -> Launch | None:
    """The launch that the code stands for, removed. None if it is not good."""
    query = Launch.objects.select_for_update(of=("self",)).select_related("login_session__user")
    found = query.filter(code_hash=digest(code)).first()
    if found is None:
        return None
    # Without a state the browser proves nothing, though somebody may have launched for the hash of nothing.
    good = bool(state) and same(found.state_hash, digest(state))
    good = good and str(found.app_id) == app_id and found.expires_at > timezone.now()
    Launch.objects.filter(pk=found.pk).delete()
    return found if good else None


def issue_app_token(origin: Origin, login: LoginSession, app_name: str) -> tuple[str, AccessSession]:
    """A bearer token for one app, for command lines: as long as the setting says, and never beyond the login session.

    Raises NotFound, Denied.
    """
    live = live_state.current()
    app = app_named(live, app_name)
    attempt = _attempt(origin, live, app, login, "/")
    decision = live.decide(attempt)
    if isinstance(decision, Permit) and decision.reason is Reason.PUBLIC_PATH:
        decision = Denial((Reason.LABELS_DO_NOT_MATCH,))
    if isinstance(decision, Denial) and decision.reasons[0] not in _OPENS_OTHERWISE:
        record_denial(origin, attempt, decision)
        raise denied(attempt, decision)
    token = new_token(TOKEN_PREFIX)
    allowed = decision if isinstance(decision, Permit) else None
    bearer = AccessSession.Credential.BEARER
    terms = terms_of_use(attempt, live.grants(str(login.user_id)))

    def confirmation(held: LoginSession) -> datetime | None:
        if allowed and allowed.mfa_reuse != float("inf"):
            return spend(held, attempt, live)
        return spend_for_use(held, attempt, terms, demanded=allowed is None)

    with refusing(origin, attempt):
        access = _start(
            origin,
            app,
            login,
            allowed,
            bearer,
            digest(token),
            settings.POSTERN.app_token_ttl,
            confirmation,
        )
    return token, access


@transaction.atomic
def end(origin: Origin, access: AccessSession, why: str = "signed-out") -> None:
    """End an app session. Ending it twice does nothing more."""
    if events := ended_events(why, pk=access.pk):
        record(origin, *events)


def access_by_token(token: str, app_id: str) -> AccessSession | None:
    """The open app session with that cookie, at that app."""
    query = AccessSession.objects.filter(token_hash=digest(token), resource_id=app_id, ended_at=None)
    return query.filter(expires_at__gt=timezone.now()).first()


@transaction.atomic
def _start(
    origin: Origin,
    app: LiveApp,
    login: LoginSession,
    allowed: Permit | None,
    credential: AccessSession.Credential,
    token_hash: str,
    ttl: float,
    confirmation: Callable[[LoginSession], datetime | None],
) -> AccessSession:
    """Write the access session and its event. It ends with the login session, or with what the permit says.

    `confirmation` answers the one it is started with, if it wants one. Raises TooLate.
    """
    now = timezone.now()
    held = held_login(str(login.pk))
    mfa_at = confirmation(held)
    until = min(now + timedelta(seconds=ttl), held.expires_at)
    roles: tuple[str, ...] = ()
    if allowed:
        roles = allowed.roles
        until = min(until, datetime.fromtimestamp(allowed.ends_at, UTC))
    access = AccessSession.objects.create(
        protocol="app",
        credential=credential,
        token_hash=token_hash,
        login_session_id=login.pk,
        user_id=login.user_id,
        user_name=login.user.username,
        resource_id=app.id,
        resource_name=app.name,
        roles=list(roles),
        mfa_at=mfa_at,
        address=origin.address,
        started_at=now,
        last_used_at=now,
        expires_at=until,
    )
    record(
        origin,
        AppSessionStarted(
            id=app.id,
            label=app.name,
            decision="permit",
            access_session_id=str(access.pk),
            credential=str(credential),
            roles=roles,
            until=until.isoformat(),
            also_touches=(f"login_session:{login.pk}",) if mfa_at else (),
        ),
    )
    return access


def safe_target(next: str) -> str:
    """`next` if it is a request target of the app itself, else its start."""
    if not next.startswith("/") or next.startswith("//") or len(next) > _LONGEST_NEXT:
        return "/"
    if not next.isascii() or not all("!" <= c <= "~" for c in next) or "\\" in next or "#" in next:
        return "/"
    return "/" if urlsplit(next).path.startswith("/.postern/") else next


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def _attempt(origin: Origin, live: Live, app: LiveApp, login: LoginSession, target: str) -> Attempt:
    subject: Subject | None = subject_now(str(login.pk), live)
    path = target.partition("?")[0]
    context = Context(time.time(), origin.address)
    return Attempt(subject, APP_REQUEST, app.resource, context, method="GET", path=path)


def _acting(origin: Origin, login: LoginSession) -> Origin:
    """The callback comes without the login session's cookie: the code says whose it is."""
    return Origin(
        actor_kind="person",
        actor_id=str(login.user_id),
        actor_name=login.user.username,
        address=origin.address,
        request_id=origin.request_id,
        login_session_id=str(login.pk),
    )
