"""The decision service's mind: nginx's question about one request in, yes, no or "sign in" out.

Nothing is remembered about decisions: each request is decided anew on the live state. Whatever goes wrong is a no.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from html import escape
from urllib.parse import quote
from uuid import UUID

from accounts.models import LoginSession
from accounts.places import has_moved
from accounts.services.moves import CONFIRM, note_address_of
from broker.environment import Environment
from broker.live import Live, LiveAccess, LiveApp, LiveLogin, LiveUser
from broker.policy import Access, Attempt, Context, Denial, Permit, Reason, Resource, Subject
from broker.policy.attempt import APP_REQUEST
from broker.policy.words import hint_of, text_of
from broker.services.asking import confirm_path, launch_path
from broker.tokens import digest, new_token
from proxy.web.credentials import STATE_COOKIE, Bearer, Cookies, read_authorization, read_cookies
from proxy.web.identity_header import REUSE, Assertions, groups_value
from proxy.web.ledger import Ledger, origin_of
from proxy.web.question import UNABLE, Question, answer_head, header_value, read_question

log = logging.getLogger(__name__)

LONGEST_COOKIE = 12 * 1024
LONGEST_NEXT = 3000
MOST_FETCHES = 1000
"""Look-ups in the database that may wait at once; beyond that the answer is that we cannot decide."""

STATE_SECONDS = 600
USE_SECONDS = 10.0
_SIGN_IN_AGAIN = frozenset({Reason.NOT_SIGNED_IN, Reason.SESSION_EXPIRED})
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class _Who:
    """The session a request is made under; all None for nobody. `doubt` says what was wrong with a credential given."""

    access: LiveAccess | None = None
    login: LiveLogin | None = None
    subject: Subject | None = None
    doubt: str = ""


NOBODY = _Who()


@dataclass(frozen=True, slots=True)
class _Head:
    """The answer of a session's permitted requests, up to the cookie, and what it was made from."""

    subject: Subject
    user: LiveUser
    app: LiveApp
    made_at: float
    head: bytes

    def is_of(self, subject: Subject, user: LiveUser, app: LiveApp) -> bool:
        """Whether these very values made it: what the feed reloads is replaced, never changed."""
        return self.subject is subject and self.user is user and self.app is app


class Authz:
    """Answers questions. `fit()` says whether state and log are good enough to permit anything."""

    def __init__(
        self, env: Environment, live: Live, ledger: Ledger, assertions: Assertions, fit: Callable[[], bool]
    ) -> None:
        self._env = env
        self._live = live
        self._ledger = ledger
        self.assertions = assertions
        self._fit = fit
        self._heads: dict[str, _Head] = {}
        self._next_use: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="authz-db")
        self._fetching = 0

    def answer(self, head: bytes) -> bytes | Coroutine[None, None, bytes]:
        """The answer to a question, at once or when what it needs has been fetched or written."""
        try:
            question = read_question(head)
            if question is None or not self._fit():
                return UNABLE
            app = self._live.apps.get(question.app)
            if app is None:
                return self._unknown_app(question)
            if question.uri != app.spec.uri:  # nginx has yet to take a change: it would go where we do not decide on
                return UNABLE
            cookies, bearer = read_cookies(question.cookie), read_authorization(question.authorization)
            who = self._who(app, cookies, bearer, question.peer, time.time())
            if who is None:
                return self._answer_later(question, app, cookies, bearer)
            return self._decide(question, app, cookies, bearer, who)
        except Exception:
            log.exception("a question could not be answered")
            return UNABLE

    # --- who asks -----------------------------------------------------------------------------------------------------

    def _who(self, app: LiveApp, cookies: Cookies, bearer: Bearer, peer: str, at: float) -> _Who | None:
        """Whose session the request belongs to, from memory; None when the database has to be asked."""
        token_hash = bearer.token_hash if bearer.ours else cookies.session_hash
        if not token_hash:
            return _Who(doubt="malformed token") if bearer.ours else NOBODY
        access = self._live.peek_access(token_hash)
        if access is None:
            return None
        if doubt := _doubt(access, app, "bearer" if bearer.ours else "cookie", at):
            return _Who(doubt=doubt)
        login = self._live.peek_login(access.login_id, at)
        if login is None or _is_elsewhere(access, login, peer):
            return None
        return self._standing(access, login, at)

    def _standing(self, access: LiveAccess, login: LiveLogin, at: float) -> _Who:
        if login.ended or at >= login.expires_at or at >= login.idle_at:
            return _Who(doubt="the login session has ended")
        if login.user_id != access.user_id:
            return _Who(doubt="the session is somebody else's")
        subject = self._live.subject(login)
        return _Who(access, login, subject) if subject else _Who(doubt="the user is gone")

    def _fetch_who(self, app: LiveApp, cookies: Cookies, bearer: Bearer, question: Question) -> _Who:
        """The same, asking the database, where it is noted that a session moved. Runs in a thread."""
        at = time.time()
        token_hash = bearer.token_hash if bearer.ours else cookies.session_hash
        access = self._live.peek_access(token_hash) or self._live.fetch_access(token_hash)
        if access is None:
            return _Who(doubt="unknown session")
        if doubt := _doubt(access, app, "bearer" if bearer.ours else "cookie", at):
            return _Who(doubt=doubt)
        login = self._live.peek_login(access.login_id, at) or self._live.fetch_login(access.login_id)
        if login and _is_elsewhere(access, login, question.peer):
            origin = origin_of(self._live.subject(login), question.peer, question.request_id)
            note_address_of(origin, UUID(login.id), question.peer)  # which may end it
            login = self._live.fetch_login(login.id)
        return self._standing(access, login, at) if login else _Who(doubt="the login session is gone")

    async def _answer_later(self, question: Question, app: LiveApp, cookies: Cookies, bearer: Bearer) -> bytes:
        if self._fetching >= MOST_FETCHES:
            return UNABLE
        self._fetching += 1
        try:
            loop = asyncio.get_running_loop()
            who = await loop.run_in_executor(self._pool, self._fetch_who, app, cookies, bearer, question)
        except Exception as error:  # the database does not answer
            log.warning("a session could not be looked up: %s", type(error).__name__)
            return UNABLE
        finally:
            self._fetching -= 1
        answer = self._decide(question, app, cookies, bearer, who)
        return answer if isinstance(answer, bytes) else await answer

    # --- the decision -------------------------------------------------------------------------------------------------

    def _decide(
        self, question: Question, app: LiveApp, cookies: Cookies, bearer: Bearer, who: _Who
    ) -> bytes | Coroutine[None, None, bytes]:
        attempt = _attempt(question, app.resource, who.subject, who.access.within if who.access else None)
        if question.upgrade and not self._is_own_origin(question, app, bearer):
            return self._refuse(question, app, cookies, who, attempt, Denial((Reason.FOREIGN_ORIGIN,)))
        decision = self._live.decide(attempt)
        if decision.permitted and self._wants_confirmation(who):
            anybody = self._live.decide(replace(attempt, subject=None, access=None))
            moved = Denial((Reason.MFA_TOO_OLD,), detail="the session moved to another network since")
            decision = anybody if anybody.permitted else moved
        if isinstance(decision, Denial):
            return self._refuse(question, app, cookies, who, attempt, decision)
        if len(cookies.rest) > LONGEST_COOKIE:
            denial = Denial((Reason.POLICY_ERROR,), detail="the app's cookies are longer than 12 KiB together")
            return self._refuse(question, app, cookies, who, attempt, denial)
        return self._permit(question, app, cookies, who, attempt, decision)

    def _wants_confirmation(self, who: _Who) -> bool:
        """Whether a second factor is wanted first, because the session moved since one was given."""
        login = who.login
        if login is None or login.moved_at is None or self._env.session_address_change != CONFIRM:
            return False
        return login.kind == LoginSession.Kind.BROWSER and (login.mfa_at is None or login.mfa_at < login.moved_at)

    def _is_own_origin(self, question: Question, app: LiveApp, bearer: Bearer) -> bool:
        """Upgrades carry cookies from any page, so the page must be the app's own. A bearer token no page sends."""
        if not question.origin:
            return bool(bearer.token_hash)
        return question.origin == self._env.app_url(app.host)

    def _permit(
        self, question: Question, app: LiveApp, cookies: Cookies, who: _Who, attempt: Attempt, permit: Permit
    ) -> bytes:
        access_id = who.access.id if who.access else ""
        self._ledger.permitted(attempt, question.request_id, access_id, permit.roles)
        if who.login:
            self._note_use(who.login.id, access_id, attempt.context.at)
        # On a public path nobody is introduced to the app who has no role for it.
        known = permit.reason is not Reason.PUBLIC_PATH
        head = self._head(app, who, attempt.context.at) if known and who.access else answer_head(200, [])
        if cookies.rest:
            head += b"\r\nX-Postern-Cookie: " + cookies.rest.encode("latin-1")
        return head + _END

    def _note_use(self, login_id: str, access_id: str, at: float) -> None:
        """Put off the idle limit; looked at every few seconds only."""
        if at < self._next_use.get(login_id, 0.0):
            return
        self._next_use[login_id] = at + USE_SECONDS
        if self._live.touch_login(login_id, at):
            self._ledger.used(login_id, access_id)

    def _head(self, app: LiveApp, who: _Who, at: float) -> bytes:
        """The identity headers of a session, made anew when anything about it changed and every few seconds."""
        assert who.access is not None  # noqa: S101 - the caller looked
        assert who.subject is not None  # noqa: S101
        user = self._live.users[who.subject.id]
        known = self._heads.get(who.access.id)
        if known and known.is_of(who.subject, user, app) and at - known.made_at < REUSE:
            return known.head
        assertion = self.assertions.sign(who.subject, user, app, self._env.app_url(app.host), at)
        head = answer_head(
            200,
            [
                ("X-Postern-User", who.subject.name),
                ("X-Postern-Email", user.email),
                ("X-Postern-Groups", groups_value(who.subject)),
                ("X-Postern-Assertion", assertion),
                ("X-Postern-Access", who.access.id),
            ],
        )
        self._heads[who.access.id] = _Head(who.subject, user, app, at, head)
        return head

    async def _refuse(
        self, question: Question, app: LiveApp, cookies: Cookies, who: _Who, attempt: Attempt, denial: Denial
    ) -> bytes:
        """Put the denial on record, then say no, or where to sign in."""
        access_id = who.access.id if who.access else ""
        if who.doubt and not denial.detail:
            denial = Denial(denial.reasons, denial.role, who.doubt)
        try:
            await self._ledger.denied(attempt, denial, question.request_id, access_id)
        except Exception as error:
            log.warning("a denial could not be put on record: %s", type(error).__name__)
            return UNABLE
        if denial.reasons[0] in _SIGN_IN_AGAIN:
            return self._to_sign_in(question, app, cookies, attempt, denial)
        confirm = ""
        by_cookie = who.access is not None and who.access.credential == "cookie"
        if denial.confirmable and by_cookie:
            if question.is_page:
                return self._to_new_session(question, app, cookies, attempt, denial)
            confirm = self._env.url + confirm_path(launch_path(app.name, asked=True), denial)
        told = _in_words(question, attempt, denial, 403, confirm)
        return answer_head(403, [*_reasons(denial), *told, *_user(who)]) + _END

    def _to_new_session(
        self, question: Question, app: LiveApp, cookies: Cookies, attempt: Attempt, denial: Denial
    ) -> bytes:
        """A page that only wants the second factor anew: the person gives it, and comes back in a new app session.

        Who has just given it is not asked again: this session began without it, a new one may begin with it.
        """
        launch, state = _launch(question, app, cookies)
        if denial.reasons[0] is Reason.MFA_SPENT and self._live.decide(replace(attempt, access=None)).permitted:
            path = launch
        else:
            path = confirm_path(f"{launch}&asked=1", denial)
        return answer_head(401, [*_reasons(denial), ("X-Postern-Location", self._env.url + path), state]) + _END

    def _to_sign_in(
        self, question: Question, app: LiveApp, cookies: Cookies, attempt: Attempt, denial: Denial
    ) -> bytes:
        if question.wants != "html":
            words = [*_in_words(question, attempt, denial, 401), ("WWW-Authenticate", f'Bearer realm="{app.name}"')]
            return answer_head(401, [*_reasons(denial), *words]) + _END
        launch, state = _launch(question, app, cookies)
        return answer_head(401, [*_reasons(denial), ("X-Postern-Location", self._env.url + launch), state]) + _END

    async def _unknown_app(self, question: Question) -> bytes:
        """The app was just removed, and nginx does not know yet."""
        attempt = _attempt(question, Resource("app", question.app, ""), None)
        denial = Denial((Reason.UNKNOWN_RESOURCE,))
        try:
            await self._ledger.denied(attempt, denial, question.request_id, "")
        except Exception:
            return UNABLE
        return answer_head(403, [*_reasons(denial), *_in_words(question, attempt, denial, 403)]) + _END

    def forget_old(self, at: float) -> None:
        """Drop answers and sessions that are over, so that memory stays flat."""
        self._live.forget_old(at)
        self._heads = {ident: head for ident, head in self._heads.items() if at - head.made_at < REUSE}
        self._next_use = {ident: then for ident, then in self._next_use.items() if at < then}

    def close(self) -> None:
        """Let the database threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _launch(question: Question, app: LiveApp, cookies: Cookies) -> tuple[str, tuple[str, str]]:
    """Where an app session begins that leads to what was asked for, and the header with the state it begins under."""
    # Several tabs of one browser sign in under one state: a new one would spoil those that are on their way.
    state = cookies.state or new_token("")
    target = question.target if question.method in ("GET", "HEAD") and len(question.target) <= LONGEST_NEXT else "/"
    attributes = f"Path=/; Max-Age={STATE_SECONDS}; Secure; HttpOnly; SameSite=Lax"
    cookie = f"{STATE_COOKIE}={state}; {attributes}"
    return launch_path(app.name, target, digest(state)), ("X-Postern-State", cookie)


def _attempt(question: Question, resource: Resource, subject: Subject | None, access: Access | None = None) -> Attempt:
    # A `#` cannot be in a request target: kept in the path, it is seen by whoever reads that.
    path = question.target if "#" in question.target else question.target.partition("?")[0]
    context = Context(time.time(), question.peer)
    return Attempt(subject, APP_REQUEST, resource, context, method=question.method, path=path, access=access)


def _is_elsewhere(access: LiveAccess, login: LiveLogin, peer: str) -> bool:
    """Whether a browser is in another network than when that was last noted. A token's user may move about."""
    if not peer or peer == login.last_address or access.credential != "cookie":
        return False
    return _has_moved(login.last_address, peer)


_has_moved = lru_cache(maxsize=4096)(has_moved)  # an address in the same network is compared with each request


def _doubt(access: LiveAccess, app: LiveApp, credential: str, at: float) -> str:
    if access.resource_id != app.id:
        return "the session is another app's"
    if access.credential != credential:
        return "the credential came in the wrong place"
    return "the app session has ended" if access.ended or at >= access.expires_at else ""


def _reasons(denial: Denial) -> list[tuple[str, str]]:
    detail = denial.detail if denial.reasons[0] is Reason.LOCKED else ""
    return [("X-Postern-Reasons", ",".join(denial.reasons)), ("X-Postern-Detail", quote(detail[:300]))]


def _in_words(
    question: Question, attempt: Attempt, denial: Denial, status: int, confirm: str = ""
) -> list[tuple[str, str]]:
    """The refusal for a program (RFC 9457) and for a person, ready to be sent: nginx puts it in as it is.

    `confirm` is where a person lifts it by their second factor.
    """
    told = [{"reason": str(reason), "text": text_of(reason, attempt)} for reason in denial.reasons[:3]]
    if denial.reasons[0] is Reason.LOCKED and denial.detail:
        told[0]["text"] += f": {denial.detail[:300]}"
    hint = hint_of(denial.reasons[0])
    if denial.confirmable and not confirm:  # a token's: its login session is a terminal's
        hint = "confirm that it is you with: postern confirm; then get a new token: postern app token"
    problem = {
        "type": "about:blank",
        "title": "sign in" if status == 401 else "access denied",
        "status": status,
        "detail": told[0]["text"],
        "reasons": told,
        "hint": "open the app in a browser, or send a token from: postern app token" if status == 401 else hint,
        "request_id": question.request_id,
        **({"confirm_url": confirm} if confirm else {}),
    }
    text = escape(f"{told[0]['text']}; {hint}").encode("ascii", "xmlcharrefreplace").decode()
    if confirm:
        text += f'. {_NOT_SENT} <a href="{escape(confirm)}" target="_blank" rel="noopener">Confirm that it is you</a>'
        text += " in another tab, then go back and send it again."
    return [("X-Postern-Problem", json.dumps(problem)), ("X-Postern-Text", text)]


_NOT_SENT = "What you sent did not reach the app, and is not kept."


def _user(who: _Who) -> list[tuple[str, str]]:
    if who.subject is None or who.access is None:
        return []
    return [("X-Postern-User", header_value(who.subject.name).decode()), ("X-Postern-Access", who.access.id)]
