"""Step-up parity (M22): whatever demands a second factor, by role or by resource, each door asks for the same.

A table of doors, held against each demand in one running world: real nginx, decision service, tunnel and web process.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from accounts import cookies
from accounts.models import LoginSession
from broker.audit import feed
from broker.models import AuditEvent
from broker.services.authorities import ensure_authorities
from broker.tokens import digest, new_token
from tests.broker.cast import PUBLIC_KEY
from tests.dpop import Key
from tests.real.nginx import Answer, Session, WebWorld, wait_for, world

__all__ = ["world"]
pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
PAGE = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
FETCH = {"Sec-Fetch-Mode": "cors", "Accept": "application/json"}
PERMITTED = "permitted"


@dataclass
class Person:
    """alice in one state of her second factor: a browser, an app session begun in it, and a CLI."""

    world: WebWorld
    mfa: dict[str, Any]
    own: bool
    key: Key = field(default_factory=Key)

    def session(self, *, bearer: bool = False) -> Session:
        """A running app session, begun with a confirmation of its own if `own`."""
        login = self.world.login("alice", **self.mfa)
        return self.world.session("alice", bearer=bearer, login=login, mfa_at=login.mfa_at if self.own else None)

    def browser(self) -> Client:
        """The broker's pages, signed in anew."""
        host = f"{self.world.env.host}:{self.world.port}"
        http = Client(headers={"host": host, "x-real-ip": "127.0.0.1"}, raise_request_exception=False)
        token = new_token("")
        self.world.login("alice", **{**self.mfa, "token_hash": digest(token)})
        http.cookies[cookies.SESSION] = token
        return http

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """One call of the JSON API, by a CLI signed in anew."""
        token = new_token("ptn_cli_")
        said = {"kind": LoginSession.Kind.CLI, "key_thumbprint": self.key.thumbprint, "token_hash": digest(token)}
        self.world.login("alice", **{**self.mfa, **said})
        headers = {
            "Authorization": f"DPoP {token}",
            "DPoP": self.key.proof(method, self.world.env.url + path, token),
            "Content-Type": "application/json",
        }
        data = json.dumps(body).encode() if body is not None else b""
        return self.world.request(method, path, headers, data, host=self.world.env.host)


Outcome = tuple[str, str]
"""The deciding reason (or `permitted`), and how the person is asked: `asked`, `told`, or nothing."""
Door = Callable[[Person], Outcome]


def app_page(person: Person) -> Outcome:
    return asked(person.world.request("GET", "/read/1?x=1", PAGE, session=person.session()))


def app_fetch(person: Person) -> Outcome:
    return told(person.world.request("GET", "/read/1", FETCH, session=person.session()), "confirm_url")


def app_form(person: Person) -> Outcome:
    answer = person.world.request("POST", "/read/1", PAGE, b"secret=body", session=person.session())
    return outcome(
        answer.status == 403 and "/account/confirm?" in answer.text and "did not reach" in answer.text, "told"
    )


def app_with_token(person: Person) -> Outcome:
    answer = person.world.request("GET", "/", {"Authorization": f"Bearer {person.session(bearer=True).token}"})
    return outcome(answer.status == 403, "told")


def app_websocket(person: Person) -> Outcome:
    try:
        with person.world.websocket(person.session()):
            return outcome(False, "")
    except InvalidStatus as refused:
        return outcome(refused.response.status_code == 403, "told")


def app_launch(person: Person) -> Outcome:
    answer = person.browser().get("/launch/wiki?next=/read/1", headers=PAGE)
    return outcome(answer.status_code == 302 and leads(answer.headers["Location"], "/launch/wiki"), "asked")


def app_token(person: Person) -> Outcome:
    return told(person.call("POST", "/api/v1/app-tokens", {"app": "wiki"}), "confirm")


def certificate(person: Person) -> Outcome:
    body = {"server": "db-1", "login": "root", "public_key": PUBLIC_KEY}
    return told(person.call("POST", "/api/v1/certificates/access", body), "confirm")


def console_page(person: Person) -> Outcome:
    answer = person.browser().get("/console/roles", headers=PAGE)
    return outcome(answer.status_code == 302 and leads(answer.headers["Location"], "/console/roles"), "asked")


def console_form(person: Person) -> Outcome:
    answer = person.browser().post("/console/locks/new", {"target": "x"}, headers=PAGE)
    page = answer.content.decode()
    return outcome(answer.status_code == 403 and "not kept" in page and "next=/console/locks/new" in page, "told")


def api_admin(person: Person) -> Outcome:
    return told(person.call("GET", "/api/v1/admin/role"), "confirm")


def why_app(person: Person) -> Outcome:
    return explained(person, {"action": "app.request", "resource": {"kind": "app", "name": "wiki"}})


def why_server(person: Person) -> Outcome:
    body = {"action": "ssh.session", "resource": {"kind": "server", "name": "db-1"}, "login": "root"}
    return explained(person, body)


def explained(person: Person, body: dict[str, Any]) -> Outcome:
    answer = person.call("POST", "/api/v1/why", body).json()
    reason = answer["reasons"][0]["reason"]
    assert answer["text"]
    return (PERMITTED, "") if answer["decision"] == "permit" else (reason, "told")


@dataclass(frozen=True)
class Row:
    """A door: whether it uses a resource, and the modules in which it decides."""

    door: Door
    uses_resource: bool
    decides_in: tuple[str, ...]


DOORS = {
    "app, page": Row(app_page, True, ("proxy/web/authz.py",)),
    "app, fetch": Row(app_fetch, True, ("proxy/web/authz.py",)),
    "app, form": Row(app_form, True, ("proxy/web/authz.py",)),
    "app, command line": Row(app_with_token, True, ("proxy/web/authz.py",)),
    "app, WebSocket": Row(app_websocket, True, ("proxy/web/authz.py", "proxy/web/tunnel.py")),
    "app, launch": Row(app_launch, True, ("broker/services/app_sessions.py", "broker/services/spending.py")),
    "app token": Row(app_token, True, ("broker/services/app_sessions.py", "broker/services/spending.py")),
    "access certificate": Row(certificate, True, ("broker/services/certificates.py", "broker/services/spending.py")),
    "console, page": Row(console_page, False, ("broker/services/decisions.py",)),
    "console, form": Row(console_form, False, ("broker/services/decisions.py",)),
    "API, administration": Row(api_admin, False, ("broker/services/decisions.py",)),
    "why, app": Row(why_app, True, ("broker/services/why.py",)),
    "why, server": Row(why_server, True, ("broker/services/why.py",)),
}

SHOWS_ONLY = {
    "broker/live/state.py": "asks policy for all of them",
    "broker/services/resources.py": "lists what opens; using it is decided at the door",
    "broker/services/openness.py": "the same",
    "broker/services/impact.py": "counts what a change ends",
    "broker/services/delegation.py": "compares what somebody may before and after",
    "broker/console/desk.py": "shows a link or not",
    "broker/console/queries/resources.py": "shows administrators who could",
}
"""Where policy is asked without letting anybody in. Everything else that asks it is a door and has a row above."""

DEMANDS = {
    "younger": ("mfa_verification_interval: 1h", {"mfa_at": 7200}, "mfa-too-old"),
    "per session": ("mfa_per_session: true", {"mfa_at": 60, "mfa_spent_at": 30}, "mfa-spent"),
    "batch": ("mfa_per_session: true, mfa_reuse: 10m", {"mfa_at": 900, "mfa_spent_at": 601}, "mfa-too-old"),
    "phishing-resistant": ("require_session_mfa: phishing-resistant", {"mfa_at": 60}, "mfa-kind"),
}
"""What is written, a second factor that does not meet it (ages in seconds), and the reason."""

POLICY = """
kind: app
metadata: {{name: wiki, labels: {{env: dev, name: wiki}}}}
spec: {{uri: '{uri}', {of_resource}}}
---
kind: server
metadata: {{name: db-1, labels: {{env: dev}}}}
spec: {{addr: '192.0.2.30:22', {of_resource}}}
---
kind: role
metadata: {{name: engineer}}
spec:
  options: {{{of_role}}}
  allow:
    app_labels: {{env: dev}}
    server_labels: {{env: dev}}
    logins: [root]
    rules: [{{resources: [role, lock], verbs: ['*']}}]
"""


def test_every_door_asks_for_the_same(world: WebWorld) -> None:
    """M22 M15: demand by demand, from the role and from the resource; and with a good second factor all let in."""
    ensure_authorities()
    _heard[:], wrong = [0], []
    for name, (demand, mfa, reason) in DEMANDS.items():
        for source in ("role", "resource"):
            demand_everywhere(world, demand, source)
            lacking = Person(world, second_factor(**mfa), own=False)
            good = Person(world, second_factor(mfa_at=20) | {"amr": ["pwd", "hwk"]}, own=True)
            for title, row in DOORS.items():
                if source == "resource" and not row.uses_resource:
                    continue
                got = row.door(lacking)
                expected = "mfa-spent" if name == "batch" and is_within(title) else reason
                if got[0] != expected or got[1] not in ("asked", "told"):
                    wrong.append(f"{title}, {name} by {source}: {got}, not {expected}")
                if (got := row.door(good)) != (PERMITTED, ""):
                    wrong.append(f"{title}, {name} by {source}, given: {got}")
    assert not wrong, "\n".join(wrong)


def is_within(title: str) -> bool:
    """Doors within a running session: it began without a confirmation of its own, whatever its age."""
    return title in ("app, page", "app, fetch", "app, form", "app, command line", "app, WebSocket")


def test_a_door_without_a_row_fails() -> None:
    """M22: every module that asks policy is a door of the table, or is known to let nobody in."""
    asking = {
        str(path.relative_to(ROOT))
        for folder in ("broker", "proxy", "accounts")
        for path in (ROOT / folder).rglob("*.py")
        if "broker/policy" not in str(path) and asks_policy(path)
    }
    rows = {module for row in DOORS.values() for module in row.decides_in}
    assert asking == rows | set(SHOWS_ONLY)


def asks_policy(path: Path) -> bool:
    """Whether a module calls `decide` or `explain`, or `permit` itself; `require` is `permit` for administration."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in ("decide", "explain"):
                return True
            if isinstance(node.func, ast.Name) and node.func.id in ("decide", "explain", "permit"):
                return True
    return False


def demand_everywhere(world: WebWorld, demand: str, source: str) -> None:
    """Write the demand into the role, or into the app and the server, and wait until every part has heard of it."""
    of_role, of_resource = (demand, "") if source == "role" else ("", demand)
    world.apply(POLICY.format(uri=world.echo.uri, of_role=of_role, of_resource=of_resource))
    lives = (world.authz._live, world.edge._live)
    wait_for(lambda: all(live.seq >= feed.newest() for live in lives), "the change did not arrive")


def second_factor(**ages: float) -> dict[str, Any]:
    return {name: timezone.now() - timedelta(seconds=age) for name, age in ages.items()}


def asked(answer: Answer) -> Outcome:
    """A page: the browser is led to confirm, and would come back to what it asked for."""
    place = answer.get("Location")
    back = "/launch/wiki?next=/read/1%3Fx%3D1&state="
    return outcome(
        answer.status == 302 and leads(urlsplit(place)._replace(scheme="", netloc="").geturl(), back), "asked"
    )


def told(answer: Answer, how: str) -> Outcome:
    """A program: problem details that say how it is lifted."""
    return outcome(answer.status == 403 and bool(answer.json().get(how)), "told")


def leads(place: str, back: str) -> bool:
    parts, query = urlsplit(place), parse_qs(urlsplit(place).query)
    return parts.path == "/account/confirm" and query["next"][0].startswith(back)


def outcome(is_refused_well: bool, how: str) -> Outcome:
    """What the log says was decided since the last door, and whether the answer fits it."""
    newest = AuditEvent.objects.filter(name="access.denied", seq__gt=_heard[-1]).order_by("-seq").first()
    if newest is None:
        return (PERMITTED, "refused all the same" if is_refused_well else "")
    _heard.append(newest.seq)
    return (newest.reasons[0], how if is_refused_well else "refused otherwise")


_heard = [0]
"""The newest denial that a door has accounted for."""
