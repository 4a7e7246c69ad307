"""The audit log in the console: filters in the database, pages by cursor, a denial explained, files to take away."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from django.db import transaction

from broker.audit.event import AppSessionStarted, SignInFailed, UserUpdated
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.models import AuditEvent
from tests.broker.cast import Cast, change
from tests.broker.console.browser import Browser, words

ID = "6f1c2f0a-3c53-4f0e-9a55-0d6a1f3f7c11"


@pytest.fixture
def audrey(cast: Cast) -> Browser:
    """The auditor's browser, with something to see."""
    alice = Origin("person", str(cast.alice.user.pk), "alice", "192.0.2.7", "a1" * 16)
    with transaction.atomic():
        record(alice, AppSessionStarted(id=ID, label="grafana", decision="permit", reasons=("role-allows",)))
        record(alice, UserUpdated(id=ID, label="charlie", changed=("email",)))
        record(Origin(address="198.51.100.4"), SignInFailed(label="mallory", step="password"))
        record(alice, *(UserUpdated(id=ID, label=f"user-{at}", changed=("email",)) for at in range(90)))
    Browser("bob").get("/console/users")
    return Browser("audrey")


def names(browser: Browser, **query: str) -> list[str]:
    return re.findall(r'class="log-name">([^<]+)<', browser.text("/console/events", **query))


def test_the_log_is_narrowed_by_every_filter(audrey: Browser) -> None:
    assert set(names(audrey, type="app")) == {"app.session.started", "app.created"}
    assert names(audrey, type="app.session.started") == ["app.session.started"]
    assert names(audrey, decision="denial") == ["access.denied"]
    assert names(audrey, actor="bob", decision="denial") == ["access.denied"]
    assert names(audrey, resource="charlie", type="user.updated") == ["user.updated"]
    assert names(audrey, q="198.51.100.4 mallory") == ["user.sign_in.failed"]
    assert names(audrey, q="mallory", since="2000-01-01", until="2001-01-01") == []
    assert "user.sign_in.failed" in names(audrey, q="mallory", since="1h", type="user")
    assert "“yesterday” is not a time" in words(audrey.get("/console/events", since="yesterday"))


def test_pages_follow_each_other_without_gap_or_overlap(audrey: Browser) -> None:
    seen: list[int] = []
    query = {"type": "user.updated"}
    while True:
        page = audrey.text("/console/events", **query)
        seen += [int(seq) for seq in re.findall(r'href="/console/events/(\d+)"', page)]
        following = re.search(r'rel="next" href="\?([^"]+)"', page)
        if not following:
            break
        query = dict(part.split("=") for part in following[1].replace("&amp;", "&").split("&"))
        assert query["type"] == "user.updated"
    wanted = list(AuditEvent.objects.filter(name="user.updated").order_by("-seq").values_list("seq", flat=True))
    assert seen == wanted
    assert len(seen) == 91


def test_a_cursor_that_was_not_made_here_is_refused(audrey: Browser) -> None:
    assert audrey.get("/console/events", cursor="1 OR 1=1").status_code == 400


def test_an_event_opens_to_all_it_says(audrey: Browser) -> None:
    event = AuditEvent.objects.get(name="app.session.started")
    page = audrey.text(f"/console/events/{event.seq}")
    assert 'data-copy="' + "a1" * 16 + '"' in page
    assert "role-allows" in page
    assert "In the same request" in page
    assert audrey.get("/console/events/999999999").status_code == 404
    assert audrey.get("/console/events/99999999999999999999").status_code == 404


def test_only_who_may_read_roles_is_led_to_the_explanation(audrey: Browser, cast: Cast) -> None:
    denial = AuditEvent.objects.get(name="access.denied")
    assert "Explain this denial" not in audrey.text(f"/console/events/{denial.seq}")
    change("{kind: role_binding, spec: {role: auditor, user: adam}}")
    adam = Browser("adam")
    page = adam.text(f"/console/events/{denial.seq}")
    found = re.search(r'href="(/console/why\?[^"]+)"', page)
    assert found
    answer = words(adam.http.get(found[1].replace("&amp;", "&")))
    assert "Denial: bob, user.list" in answer


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_what_is_filtered_is_what_is_exported(audrey: Browser, kind: str) -> None:
    response: Any = audrey.get("/console/events/export", type="user.updated", resource="charlie", format=kind)
    text = b"".join(response).decode()
    rows = csv.DictReader(io.StringIO(text)) if kind == "csv" else map(json.loads, text.splitlines())
    found = [(row["name"], row["actor_name"], row["resource_name"]) for row in rows]
    assert found == [("user.updated", "alice", "charlie")]
    assert response.headers["Content-Disposition"].endswith(f'.{kind}"')
    assert response.headers["Cache-Control"] == "no-store"
    assert AuditEvent.objects.filter(name="audit.read", resource_name="export", actor_name="audrey").count() == 1


def test_reading_the_log_is_on_record(audrey: Browser) -> None:
    audrey.get("/console/events", q="mallory")
    read = AuditEvent.objects.filter(name="audit.read").latest("seq")
    assert read.actor_name == "audrey"
    assert "mallory" in read.data["query"]
