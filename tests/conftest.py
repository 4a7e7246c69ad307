"""What every test stands on: a data directory of its own, one per xdist worker, made before Django reads its settings.

`POSTERN_TEST_DATABASE=postgresql://…` runs the same tests on PostgreSQL. The cast: alice may, bob may less, charlie may
not; each has a password and an authenticator app.
"""
# ruff: noqa: E402 - the environment comes before Django

from __future__ import annotations

import atexit
import base64
import os
import secrets
import shutil
import tempfile
from pathlib import Path

DATA_DIR = Path(tempfile.mkdtemp(prefix="postern-test-"))
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith("POSTERN_") and name != "POSTERN_TEST_DATABASE"]:
    del os.environ[_name]
os.environ["POSTERN_DATA_DIR"] = str(DATA_DIR)
os.environ["POSTERN_URL"] = "http://postern.localhost:8080"
if os.environ.get("POSTERN_TEST_DATABASE"):
    os.environ["POSTERN_DATABASE_URL"] = os.environ["POSTERN_TEST_DATABASE"]
os.environ["DJANGO_SETTINGS_MODULE"] = "broker.settings"

from broker import keystore

keystore.create(DATA_DIR / "keys")
(DATA_DIR / "keys" / "secret_key").write_text(secrets.token_urlsafe(50))

import django
from django.conf import settings

# In a worker, pytest-django may have read the settings before this, with the data directory of its parent.
settings.POSTERN.data_dir = DATA_DIR
if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: threads with a connection each must meet the same locks as in production.
    settings.DATABASES["default"]["TEST"]["NAME"] = str(DATA_DIR / "test.sqlite3")
# Hashed names need `collectstatic`, which only a started installation has run.
settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
django.setup()

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import transaction
from django.test import Client
from django.utils import timezone
from django_otp.oath import hotp

from accounts import cookies
from accounts.authenticators import password, totp
from accounts.models import LoginSession, TotpDevice, User
from accounts.services import login_sessions
from accounts.services.users import create_user
from broker.audit.log import record
from broker.audit.origin import Origin, system
from broker.tokens import digest, new_token

# Hashing takes 100 MiB by design; tests need the algorithm, not the cost.
Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 64, 1

TESTS = system("tests")


def new_client(**kwargs: Any) -> Client:
    """A browser at the broker's address, without any cookie."""
    return Client(SERVER_NAME="postern.localhost", SERVER_PORT="8080", **kwargs)


@dataclass
class Person:
    """One of the cast: what they know, and browsers signed in as them."""

    user: User
    password: str
    device: TotpDevice
    _clients: list[Client] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.user.username

    @property
    def client(self) -> Client:
        """A browser in which they are signed in; the same one each time."""
        if not self._clients:
            self._clients.append(self.new_browser()[0])
        return self._clients[0]

    @property
    def session(self) -> LoginSession:
        """The login session of `client`."""
        token = self.client.cookies[cookies.SESSION].value
        return LoginSession.objects.get(token_hash=digest(token))

    def new_browser(self, **kwargs: Any) -> tuple[Client, LoginSession]:
        """Another browser in which they are signed in."""
        token = new_token("")
        with transaction.atomic():
            session, started = login_sessions.start(
                Origin("person", str(self.user.pk), self.name, "127.0.0.1"),
                self.user,
                token=token,
                kind=LoginSession.Kind.BROWSER,
                amr=["pwd", "otp", "mfa"],
                mfa_at=timezone.now(),
                device_name="Firefox on Linux",
            )
            record(TESTS, started)
        client = new_client(**kwargs)
        client.cookies[cookies.SESSION] = token
        return client, session

    def code(self, step: int = 0) -> str:
        """What their authenticator app shows, `step` half minutes from now."""
        seed = base64.b32decode(self.device.seed)
        return f"{hotp(seed, int(timezone.now().timestamp()) // 30 + step):06d}"


def new_person(name: str, groups: tuple[str, ...] = ()) -> Person:
    """Somebody with a password and an authenticator app."""
    user = create_user(TESTS, name, full_name=name.capitalize(), groups=groups, traits={"logins": [name]})
    words = f"{name} walks past the old lighthouse"
    User.objects.filter(pk=user.pk).update(password=password.hashed(words))
    user.refresh_from_db()
    device = totp.new_device(user)
    TotpDevice.objects.filter(pk=device.pk).update(confirmed=True)
    device.refresh_from_db()
    return Person(user, words, device)


@pytest.fixture
def person(db: None) -> Callable[..., Person]:
    """Makes more people."""
    return new_person


@pytest.fixture
def alice(db: None) -> Person:
    return new_person("alice", ("engineers",))


@pytest.fixture
def bob(db: None) -> Person:
    return new_person("bob", ("readers",))


@pytest.fixture
def charlie(db: None) -> Person:
    return new_person("charlie")


@pytest.fixture
def browser() -> Client:
    """Nobody's browser."""
    return new_client()


class Clock:
    """The time that `timezone.now()` tells."""

    def __init__(self) -> None:
        self.now = timezone.now()

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still until told otherwise, in the middle of a TOTP step."""
    stopped = Clock()
    stopped.now = stopped.now.replace(second=15, microsecond=0)
    monkeypatch.setattr(timezone, "now", stopped)
    return stopped


@pytest.fixture(autouse=True)
def _fresh_live_state() -> Iterator[None]:
    """No test sees what another left in memory."""
    from broker import live

    yield
    live.forget()
