"""Why something is permitted or denied: the decision, each role tried, and the first thing that failed in it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from django.utils import timezone

from accounts import sessions
from broker import live as live_state
from broker.audit.origin import Origin
from broker.errors import Invalid, NotFound, Problem
from broker.live import Live
from broker.policy import Attempt, Context, Explanation, Login, Resource, Subject
from broker.policy.attempt import ACTIONS, APP_REQUEST, SSH_SESSION
from broker.policy.grant import Grant
from broker.services.decisions import require, subject_now

_KINDS = {APP_REQUEST: "app", SSH_SESSION: "server"}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `user`: about whom (empty: oneself); `at` in Unix seconds (None: now)."""

    action: str
    kind: str
    name: str
    user: str = ""
    login: str = ""
    method: str = "GET"
    path: str = "/"
    address: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The explanation, and what had to be assumed to give it (empty: nothing)."""

    subject: str
    explanation: Explanation
    assumed: str = ""


def explain_access(origin: Origin, subject: Subject, question: Question) -> Answer:
    """Explain one attempt. About somebody else it needs `user.read` and `role.read`. Raises Denied, Invalid, NotFound.

    About oneself, a resource that no role of one's own names gets the same answer as one that does not exist.
    """
    _check(question)
    about_self = not question.user or question.user == subject.name
    if not about_self:
        require(origin, subject, "user.read", question.user)
        require(origin, subject, "role.read")
    live = live_state.current()
    who, assumed = (subject, "") if about_self else _other(live, question.user, question.at)
    resource = _resource(live, question)
    if about_self and not _concerns(live.grants(who.id), question, resource):
        resource = Resource(question.kind, "", question.name)
    address = question.address or ("" if not about_self else origin.address)
    context = Context(question.at if question.at is not None else time.time(), address)
    ssh, web = question.action == SSH_SESSION, question.action == APP_REQUEST
    attempt = Attempt(
        who,
        question.action,
        resource,
        context,
        login=question.login if ssh else "",
        method=question.method if web else "",
        path=question.path if web else "",
    )
    return Answer(who.name, live.explain(attempt), assumed)


def _check(question: Question) -> None:
    if question.action not in ACTIONS:
        near = get_close_matches(question.action, ACTIONS, 1)
        hint = f"did you mean {near[0]!r}?" if near else "such as app.request or ssh.session"
        message = f"there is no action {question.action[:60]!r}"
        raise Invalid(message, hint, [Problem(message, path="action", hint=hint)])
    wanted = _KINDS.get(question.action)
    if wanted and question.kind != wanted:
        message = f"{question.action} is about a resource of kind {wanted}"
        raise Invalid(message, "", [Problem(message, path="resource.kind")])
    if question.action == SSH_SESSION and not question.login:
        message = "ssh.session needs a login"
        raise Invalid(message, "write it as root@db-1", [Problem(message, path="login")])


def _resource(live: Live, question: Question) -> Resource:
    if question.kind == "app":
        app = live.app_named(question.name)
        if app and question.action == APP_REQUEST:
            return app.resource
    elif question.kind == "server":
        server = live.server_named(question.name)
        if server and question.action == SSH_SESSION:
            return server.resource
    return Resource(question.kind, "", question.name)


def _concerns(grants: Iterable[Grant], question: Question, resource: Resource) -> bool:
    """Whether some role of the subject names this resource, so that they may know about it."""
    if question.action == APP_REQUEST:
        return any(grant.allow.apps.matches(resource.labels) for grant in grants)
    if question.action == SSH_SESSION:
        return any(grant.allow.servers.matches(resource.labels) for grant in grants)
    return True


def _other(live: Live, name: str, at: float | None) -> tuple[Subject, str]:
    """Somebody else as they would ask: under their latest login session, else as if freshly signed in."""
    user = live.user_named(name)
    if user is None:
        near = get_close_matches(name, [other.name for other in live.users.values()], 1)
        raise NotFound(f"there is no user {name[:64]!r}", f"did you mean {near[0]!r}?" if near else "")
    session = sessions.live(timezone.now()).filter(user_id=user.id).order_by("-last_seen_at").first()
    subject = subject_now(str(session.pk), live) if session else None
    if subject is not None:
        return subject, ""
    bare = live.subject_without_session(user.id)
    if bare is None:
        raise NotFound(f"there is no user {name[:64]!r}")
    login = _fresh(at if at is not None else time.time())
    return replace(bare, login=login), "not signed in now: explained as if freshly signed in with a second factor"


def _fresh(at: float) -> Login:
    return Login("", at, at + 3600, frozenset({"pwd", "otp"}), at)
