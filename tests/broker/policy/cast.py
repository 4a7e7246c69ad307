"""The cast of the policy tests: who asks, what for, and short ways to ask it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from broker.documents import RoleSpec, parse_text
from broker.policy import Attempt, Context, Denial, Grant, Locks, Login, Reason, Resource, Subject, compile_role, decide

NOW = 1_800_000_000.0  # Friday 2027-01-15 08:00:00 UTC
LOGIN = Login("session-1", NOW - 600, NOW + 36_000, frozenset({"pwd", "otp"}), NOW - 300)

ALICE = Subject(
    "id-alice",
    "alice",
    groups=frozenset({"ops", "staff"}),
    traits={"team": ("red", "blue"), "logins": ("alice",)},
    login=LOGIN,
)
CHARLIE = Subject("id-charlie", "charlie", login=replace(LOGIN, id="session-3"))
BUILD_BOT = Subject("id-bot", "build-bot", kind="machine", login=Login("session-9", NOW - 60, NOW + 3_600))

DB = Resource("server", "id-db", "db-1", {"env": "prod", "team": "red", "region": "eu-west"})
BARE = Resource("server", "id-bare", "bare", {})
GRAFANA = Resource(
    "app", "id-grafana", "grafana", {"env": "prod", "team": "red"}, public_paths=("/health", "/assets/*")
)


def role(text: str) -> RoleSpec:
    """The role of a YAML `spec`, written without its head."""
    indented = "\n".join("  " + line for line in text.strip("\n").splitlines())
    spec = parse_text(f"kind: role\nmetadata:\n  name: tested\nspec:\n{indented}\n", "test")[0]
    assert isinstance(spec, RoleSpec)
    return spec


def grant(text: str, subject: Subject = ALICE, name: str = "tested", until: float | None = None) -> Grant:
    return compile_role(replace(role(text), name=name), subject.traits, via=f"user:{subject.name}", until=until)


def ssh(subject: Subject | None = ALICE, login: str = "root", server: Resource = DB, **context: Any) -> Attempt:
    return Attempt(subject, "ssh.session", server, at(**context), login=login)


def web(subject: Subject | None = ALICE, path: str = "/", method: str = "GET", app: Resource = GRAFANA) -> Attempt:
    return Attempt(subject, "app.request", app, at(), method=method, path=path)


def admin(action: str, subject: Subject | None = ALICE, name: str = "x") -> Attempt:
    return Attempt(subject, action, Resource(action.partition(".")[0], "id", name), at())


def at(at: float = NOW, address: str = "10.1.2.3") -> Context:
    return Context(at, address)


def labelled(labels: Mapping[str, str]) -> Resource:
    return replace(DB, labels=dict(labels))


def reason_of(attempt: Attempt, grants: Iterable[Grant], locks: Locks | None = None) -> Reason:
    """The deciding reason: of the permit, or the first of the denial."""
    decision = decide(attempt, list(grants), locks or Locks())
    return decision.reasons[0] if isinstance(decision, Denial) else decision.reason
