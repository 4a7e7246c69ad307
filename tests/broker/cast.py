"""The cast of the tests, made by applying documents as an administrator would.

alice may (role engineer: apps and servers of env dev), bob may less (GET on grafana, login `read` on db-1), charlie may
not, audrey is an auditor, adam an administrator, holly holds a little administration, build_bot is a machine. What is
called canary-… is nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client
from django.utils import timezone

from accounts.models import LoginSession, User
from broker import live
from broker.audit.origin import Origin, system
from broker.policy import Subject
from broker.services.apply import Source, apply
from broker.services.decisions import subject_now
from broker.services.enact import Outcome
from broker.services.presets import ensure_builtin_roles
from broker.tokens import digest, new_token
from tests.dpop import BROKER, Key

ADDRESS = "192.0.2.7"
PUBLIC_KEY = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
DOCUMENTS = """
{kind: group, metadata: {name: ops}}
---
kind: user
metadata: {name: alice}
spec: {full_name: Alice, email: alice@example.com, groups: [ops], traits: {team: [db]}}
---
{kind: user, metadata: {name: bob}}
---
{kind: user, metadata: {name: charlie}}
---
{kind: user, metadata: {name: audrey}}
---
{kind: user, metadata: {name: adam}}
---
{kind: user, metadata: {name: holly}}
---
kind: role
metadata: {name: engineer}
spec:
  allow:
    app_labels: {env: dev}
    server_labels: {env: dev}
    logins: [root, deploy]
---
kind: role
metadata: {name: reader}
spec:
  allow:
    app_labels: {name: grafana}
    methods: [GET]
    server_labels: {name: db-1}
    logins: [read]
---
kind: role
metadata: {name: helper}
spec:
  allow:
    rules:
      - {resources: [user, binding, group, server, role], verbs: [list, read, create, update, delete]}
---
kind: app
metadata: {name: grafana, description: dashboards, labels: {env: dev, name: grafana}}
spec: {uri: 'http://192.0.2.20:3000'}
---
{kind: app, metadata: {name: canary-vault, labels: {env: prod}}, spec: {uri: 'http://192.0.2.21:8200'}}
---
{kind: server, metadata: {name: db-1, labels: {env: dev, name: db-1}}, spec: {addr: '192.0.2.30:22'}}
---
{kind: server, metadata: {name: canary-prod, labels: {env: prod}}, spec: {addr: '192.0.2.31:22'}}
---
{kind: role_binding, spec: {role: engineer, group: ops}}
---
{kind: role_binding, spec: {role: reader, user: bob}}
---
{kind: role_binding, spec: {role: auditor, user: audrey}}
---
{kind: role_binding, spec: {role: administrator, user: adam}}
---
{kind: role_binding, spec: {role: helper, user: holly}}
"""


def change(text: str, **how: Any) -> Outcome:
    """Apply documents as the system."""
    return apply(system("test"), None, [Source("test.yaml", text)], **how)


@dataclass
class Actor:
    """Somebody signed in by CLI: their session, its token and key, and the origin of what they do."""

    user: User
    session: LoginSession
    token: str = field(repr=False)
    key: Key = field(default_factory=Key, repr=False)

    @property
    def subject(self) -> Subject:
        """Who acts under the session, as the broker sees it at this moment."""
        subject = subject_now(str(self.session.pk))
        assert subject is not None
        return subject

    @property
    def origin(self) -> Origin:
        return Origin("person", str(self.user.pk), self.user.username, ADDRESS, "f" * 32, str(self.session.pk))


class Cast:
    """Everybody, and what there is to open."""

    def __init__(self) -> None:
        live.forget()
        ensure_builtin_roles()
        change(DOCUMENTS)
        User.objects.create(username="build_bot", kind=User.Kind.MACHINE)
        for name in ("alice", "bob", "adam", "audrey"):
            # not a hash of anything: nobody signs in with it, but the account counts as one that can
            User.objects.filter(username=name).update(password=f"argon2$of-{name}")
        self._actors: dict[str, Actor] = {}

    def __getattr__(self, name: str) -> Actor:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._actors:
            user = User.objects.by_name(name)
            if user is None:
                raise AttributeError(name)
            self._actors[name] = signed_in(user)
        return self._actors[name]


def signed_in(user: User, kind: LoginSession.Kind = LoginSession.Kind.CLI) -> Actor:
    """A user with a live login session."""
    now, key = timezone.now(), Key()
    token = new_token("ptn_cli_" if kind == LoginSession.Kind.CLI else "")
    session = LoginSession.objects.create(
        user=user,
        kind=kind,
        token_hash=digest(token),
        key_thumbprint=key.thumbprint if kind == LoginSession.Kind.CLI else "",
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(hours=8),
        mfa_at=now,
        amr=["otp", "pwd"],
        address=ADDRESS,
    )
    return Actor(user, session, token, key)


class SigningClient(Client):
    """A CLI: each request carries the actor's token and a proof for this very request, unless it brings its own."""

    actor: Actor | None = None

    def generic(self, method: str, path: Any, *arguments: Any, headers: Any = None, **options: Any) -> Any:
        """One request."""
        given = {name.lower(): value for name, value in (headers or {}).items()}
        if self.actor and "authorization" not in given:
            address = BROKER + quote(str(path).partition("?")[0], safe="/%")
            given["authorization"] = f"DPoP {self.actor.token}"
            given.setdefault("dpop", self.actor.key.proof(method, address, self.actor.token))
        return super().generic(method, path, *arguments, headers=given, **options)


def client(actor: Actor | None = None) -> SigningClient:
    """An HTTP client as nginx would pass it on, for the actor if there is one."""
    headers = {"host": "postern.localhost:8080", "x-real-ip": ADDRESS}
    http = SigningClient(headers=headers, enforce_csrf_checks=True, raise_request_exception=False)
    http.actor = actor
    return http
