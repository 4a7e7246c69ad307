"""Who gets which answer: every call of the API, for everybody, held against a table that people review (R03)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import transaction
from django.http import HttpResponse

from accounts import cookies
from accounts.models import Connector, LoginSession
from accounts.services import confirmations
from broker import live
from broker.api.urls import api
from broker.documents import ScimSpec, to_document
from broker.models import AuditEvent, Lock
from broker.services.authorities import ensure_authorities
from tests.broker.cast import PUBLIC_KEY, Cast, client, signed_in

pytestmark = pytest.mark.urls("tests.broker.api.urls")

ROWS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "access_matrix.yaml").read_text())
ACTORS = ("anonymous", "cookie", "alice", "bob", "charlie", "audrey", "adam", "holly")
METHODS = ("get", "post", "put", "patch", "delete")


def calls() -> set[str]:
    schema = api.get_openapi_schema()
    return {f"{method.upper()} {path}" for path, ops in schema["paths"].items() for method in ops if method in METHODS}


def filled(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: filled(inner, words) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, words) for inner in value]
    return words.get(value, value) if isinstance(value, str) else value


def send(row: dict[str, Any], actor: str, cast: Cast, words: dict[str, str]) -> HttpResponse:
    method, _, path = row["call"].partition(" ")
    address = path.format(**filled(row.get("path", {}), words))
    http = client(None if actor in ("anonymous", "cookie") else getattr(cast, actor))
    if actor == "cookie":
        http.cookies[cookies.SESSION] = words["COOKIE"]
    body, kind = "", "application/octet-stream"
    if "text" in row:
        body, kind = filled(row["text"], words), "text/plain"
    elif "body" in row:
        body, kind = json.dumps(filled(row["body"], words)), "application/json"
    answer: HttpResponse = http.generic(method, address, body, content_type=kind)
    return answer


def test_every_call_has_a_row_and_every_row_a_call(db: None) -> None:
    """R03: a new call without a reviewed row fails here."""
    assert {row["call"] for row in ROWS} == calls()
    for row in ROWS:
        assert tuple(row["answers"]) == ACTORS, row["call"]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['call']} {row.get('note', row.get('path', ''))}" for row in ROWS])
def test_everybody_gets_the_answer_of_the_table(cast: Cast, row: dict[str, Any]) -> None:
    """R03, R01, X07: each actor in a world of their own; a refusal is problem details and changes nothing."""
    ensure_authorities()
    Connector.objects.create(kind="scim", name="okta", document=to_document(ScimSpec("okta")))
    lock = Lock.objects.create(target_kind="login", target_id="x", target_name="x", reason="r")
    browser = signed_in(cast.adam.user, LoginSession.Kind.BROWSER)
    words = {"KEY": PUBLIC_KEY, "BOB_SESSION": str(cast.bob.session.pk), "LOCK": str(lock.pk), "COOKIE": browser.token}
    words["CONFIRMATION"] = str(confirmations.ask(cast.bob.origin, cast.bob.session, "x").pk)
    for name in ACTORS[2:]:
        getattr(cast, name)
    got = {}
    for actor in ACTORS:
        live.forget()
        before = transaction.savepoint()
        events = set(AuditEvent.objects.values_list("pk", flat=True))
        response = send(row, actor, cast, words)
        got[actor] = response.status_code
        if response.status_code >= 400:
            assert response.headers["Content-Type"] == "application/problem+json"
            new = AuditEvent.objects.exclude(pk__in=events)
            assert {event.name for event in new} <= {"access.denied"}
            if response.status_code == 403:
                assert new.count() == 1
        transaction.savepoint_rollback(before)
    live.forget()
    assert got == row["answers"]
