"""What people type is shown as what it is: no script, no formula, no line turned around (X09, A10, A11, X10)."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.db import transaction

from accounts.models import Group, User
from broker.audit.event import SignInFailed, UserDisabled
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.console.export import cell, csv_line
from broker.models import App, Lock, Role, Server
from tests.broker.cast import Cast, change
from tests.broker.console.browser import Browser

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
TURNED = "gpj.\u202eexe"
FORMULAS = ("=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1", "\n=1")


@pytest.fixture
def stored(cast: Cast) -> Cast:
    """Hostile text wherever the database takes it, past the checks of documents."""
    for user in (cast.bob.user, cast.charlie.user):
        user.full_name, user.email, user.traits = HOSTILE, HOSTILE[:60], {HOSTILE[:40]: [HOSTILE, TURNED]}
        user.disabled_reason = HOSTILE
        user.save()
    session = cast.bob.session
    session.device_name, session.user_agent = HOSTILE[:100], HOSTILE
    session.save()
    Group.objects.filter(name="ops").update(description=HOSTILE)
    for model in (Role, App, Server):
        for row in model.objects.all():
            row.document["metadata"]["description"] = HOSTILE
            row.document["metadata"]["labels"] = {"env": "dev", "note": HOSTILE}
            row.save()
    Lock.objects.create(
        target_kind="login", target_id="x", target_name=HOSTILE, reason=HOSTILE + TURNED, created_by=HOSTILE[:60]
    )
    origin = Origin("person", str(cast.bob.user.pk), HOSTILE, "192.0.2.9", "a" * 32)
    with transaction.atomic():
        record(origin, SignInFailed(label=HOSTILE + TURNED, step=HOSTILE))
        record(
            origin,
            UserDisabled(id=str(cast.charlie.user.pk), label="admin logged in", why=f"{HOSTILE}\u2028\x00{TURNED}"),
        )
    return cast


PAGES = [
    ("adam", "/console/users"),
    ("adam", "/console/users/bob"),
    ("adam", "/console/users/charlie/edit"),
    ("adam", "/console/groups"),
    ("adam", "/console/groups/ops"),
    ("adam", "/console/roles"),
    ("adam", "/console/roles/engineer"),
    ("adam", "/console/roles/engineer/edit"),
    ("adam", "/console/apps"),
    ("adam", "/console/apps/grafana"),
    ("adam", "/console/servers"),
    ("adam", "/console/servers/db-1"),
    ("adam", "/console/locks"),
    ("adam", "/console/login-sessions"),
    ("adam", "/search?q=a"),
    ("audrey", "/console/events"),
    ("alice", "/"),
]


@pytest.mark.parametrize(("who", "path"), PAGES)
def test_stored_markup_is_shown_as_text(stored: Cast, who: str, path: str) -> None:
    """X09, A11: it is on the page, escaped; and no character that turns the line around is left as it is."""
    page = Browser(who).text(path)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "onerror=alert(2)>" not in page
    assert "&lt;script&gt;alert(1)" in page
    if who == "audrey":
        assert "\u202e" not in page
        assert "\\u202e" in page


QUERIES = [
    ("adam", "/console/users", "q"),
    ("adam", "/console/apps", "q"),
    ("adam", "/console/sessions", "user"),
    ("adam", "/console/why", "resource"),
    ("adam", "/search", "q"),
    ("adam", "/console/locks/new", "reason"),
    ("audrey", "/console/events", "since"),
    ("audrey", "/console/events", "q"),
    ("audrey", "/console/events", "actor"),
    ("alice", "/", "q"),
]


@pytest.mark.parametrize(("who", "path", "name"), QUERIES)
def test_what_an_address_carries_is_shown_as_text(cast: Cast, who: str, path: str, name: str) -> None:
    """X09: the same for what only the link holds."""
    page = Browser(who).text(path, **{name: HOSTILE})
    assert "<script>alert" not in page
    assert "<img src=x" not in page


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    """X09: a spreadsheet shows it, and calculates nothing."""
    assert cell(text).startswith("'")
    (row,) = csv.reader(io.StringIO(csv_line([text, "plain"])))
    assert row[0].startswith("'")
    assert row[1] == "plain"


def test_a_plain_cell_stays_what_it_is() -> None:
    assert cell("grafana-1") == "grafana-1"
    assert cell(["a", "b"]) == '["a", "b"]'


def test_an_exported_event_is_one_line_whatever_is_in_it(stored: Cast) -> None:
    """A10: line breaks, NUL, U+2028 and direction marks are escaped in JSON lines and CSV."""
    audrey = Browser("audrey")
    lines = body(audrey.get("/console/events/export", type="user.disabled"))
    (event,) = [json.loads(line) for line in lines.splitlines()]
    assert event["data"]["why"].startswith("<script>")
    assert lines.isascii()
    table = body(audrey.get("/console/events/export", type="user.disabled", format="csv"))
    head, row = csv.reader(io.StringIO(table))
    said = dict(zip(head, row, strict=True))
    assert said["name"] == "user.disabled"
    assert "\\u202e" in said["data"]
    assert not any(mark in table for mark in ("\u202e", "\u2028", "\x00"))


def body(response: Any) -> str:
    assert response.status_code == 200
    return b"".join(response).decode()


@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//evil.example", "ftp://x"]
)
def test_an_app_leads_to_http_or_nowhere(cast: Cast, uri: str) -> None:
    """X10: anything but http and https is refused, in the form and in the document."""
    adam = Browser("adam")
    page = adam.post("/console/apps/new", name="fresh", uri=uri)
    assert page.status_code == 200
    assert "must begin with http" in page.content.decode()
    document = f"{{kind: app, metadata: {{name: fresh}}, spec: {{uri: '{uri}'}}}}"
    now = adam.text("/console/apps/grafana/edit")
    assert "http://192.0.2.20:3000" in now
    assert not App.objects.filter(name="fresh").exists()
    with pytest.raises(Exception, match="http"):
        change(document)


def test_names_that_no_address_could_carry_are_refused(cast: Cast) -> None:
    adam = Browser("adam")
    page = adam.post("/console/users/new", name="<b>bold</b>")
    assert "&lt;b&gt;bold" in page.content.decode()
    assert not User.objects.filter(username__contains="bold").exists()
