"""Text that a database or a file cannot hold is refused like any other, and the refusal is on record (A10)."""

from __future__ import annotations

import json

import pytest
from django.db import transaction

from broker.audit.event import AccessDenied
from broker.audit.log import record
from broker.audit.origin import system
from broker.models import AuditEvent
from tests.broker.cast import PUBLIC_KEY, Cast, client

HOSTILE = ["ro\0ot", "ro\r\nadmin signed in", "\u202eroot", "%s%n{0}", "' OR 1=1 --"]


@pytest.mark.parametrize("login", HOSTILE)
def test_a_hostile_login_is_denied_on_record(cast: Cast, login: str) -> None:
    """A10: NUL (which PostgreSQL cannot keep) included."""
    body = json.dumps({"server": "db-1", "login": login, "public_key": PUBLIC_KEY})
    answer = client(cast.alice).post("/api/v1/certificates/access", body, content_type="application/json")
    assert answer.status_code == 403
    event = AuditEvent.objects.get(name="access.denied")
    assert event.resource_name == "db-1"
    assert "\0" not in json.dumps(event.data, ensure_ascii=False)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_server_name_is_not_found_and_on_record(cast: Cast, name: str) -> None:
    """A10."""
    body = json.dumps({"server": name, "login": "root", "public_key": PUBLIC_KEY})
    answer = client(cast.alice).post("/api/v1/certificates/access", body, content_type="application/json")
    assert answer.status_code == 404
    assert AuditEvent.objects.filter(name="access.denied").count() == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_search_finds_nothing(cast: Cast, text: str) -> None:
    """A17."""
    for path in ("events", "sessions", "login-sessions"):
        for key in ("search", "user", "actor", "resource"):
            assert client(cast.audrey).get(f"/api/v1/admin/{path}", {key: text}).status_code == 200


def test_half_a_surrogate_pair_is_on_record_too(db: None) -> None:
    """A10: UTF-8 cannot write one."""
    with transaction.atomic():
        record(system("test"), AccessDenied(label="a\ud800", action="b\ud800", path="/\0"))
    assert AuditEvent.objects.get().data["action"] == "b\N{REPLACEMENT CHARACTER}"


def test_a_hostile_document_name_is_not_found(cast: Cast) -> None:
    """A10."""
    for kind in ("role", "user", "group", "app", "server", "role_binding"):
        assert client(cast.adam).get(f"/api/v1/admin/{kind}/a%00b").status_code == 404
        assert client(cast.adam).delete(f"/api/v1/admin/{kind}/a%00b").status_code == 404
    for verb in ("users/a%00b/invite", "users/a%00b/disable"):
        assert client(cast.adam).post(f"/api/v1/admin/{verb}").status_code == 404


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_lock_or_name_is_bad_input(cast: Cast, text: str) -> None:
    """A10."""
    body = json.dumps({"target": {"kind": "user", "name": text}, "reason": "because"})
    answer = client(cast.adam).post("/api/v1/admin/locks", body, content_type="application/json")
    assert answer.status_code in (404, 422)
    what = {"kind": "server", "name": text}
    body = json.dumps({"action": "ssh.session", "resource": what, "login": text, "user": text})
    assert client(cast.adam).post("/api/v1/why", body, content_type="application/json").status_code in (404, 422)
