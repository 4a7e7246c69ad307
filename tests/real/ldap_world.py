"""A real directory and Postern's side of it: connectors, people who sign in by the form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from accounts import connectors
from accounts.directory import known
from accounts.models import Connector, Identity, User
from broker.audit.origin import system
from broker.documents import LdapSpec, parse_mapping
from broker.models import AuditEvent
from broker.services.connectors import write_connector
from tests.conftest import new_client
from tests.real.slapd import GROUPS, PEOPLE, READER, READER_PASSWORD, Slapd

TESTS = system("tests")
NAME = "corp"


def document(server: Slapd, **spec: Any) -> dict[str, Any]:
    """The document of a connector to that directory: everybody may come, groups are called as there."""
    whole: dict[str, Any] = {
        "urls": [server.url],
        "bind_dn": READER,
        "bind_password": READER_PASSWORD,
        "user_search": {"base": PEOPLE},
        "group_search": {"base": GROUPS},
        "groups": [{"claim": "groups", "groups": ["{{external.groups}}"]}],
        "traits": {"mail": ["{{external.mail}}"]},
        "create_users": True,
        "timeout": "1s",
        **spec,
    }
    return {"kind": "ldap", "metadata": {"name": NAME}, "spec": whole}


def connect(server: Slapd, name: str = NAME, **spec: Any) -> Connector:
    """Make the connector, as `apply` does."""
    written = document(server, **spec)
    written["metadata"]["name"] = name
    read = parse_mapping("ldap", written)
    assert isinstance(read, LdapSpec)
    with transaction.atomic():
        write_connector(TESTS, read)
    return Connector.objects.get(name=name)


@dataclass
class Answer:
    """What the form answered, and what the log says."""

    browser: Client
    status: int
    to: str
    body: str

    @property
    def words(self) -> str:
        """The page without what differs each time."""
        return re.sub(r'(name="csrfmiddlewaretoken" value=|name="username" value=)"[^"]*"', "", self.body)


def type_in(name: str, password: str, browser: Client | None = None) -> Answer:
    """Name and password in the form of sign-in."""
    browser = browser or new_client()
    got = browser.post("/sign-in", {"username": name, "password": password})
    return Answer(browser, got.status_code, got.headers.get("Location", ""), got.content.decode())


def reasons() -> list[str]:
    """Why directories let nobody in, newest last."""
    rows = AuditEvent.objects.filter(name="connector.sign_in.refused").order_by("seq")
    return [row.data["why"] for row in rows]


def user(name: str) -> User:
    return User.objects.get(username=name)


def groups(name: str) -> set[str]:
    return set(user(name).groups.values_list("name", flat=True))


def identity(name: str) -> Identity:
    return Identity.objects.select_related("user", "connector").get(user__username=name)


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    """The directory of a module's tests; what one changes it puts back."""
    with Slapd() as server:
        yield server


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """No test meets another's connections, rests or notes."""
    yield
    connectors.forget()
    known.forget()
