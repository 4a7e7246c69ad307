"""How often a page asks the database does not grow with what is in it, and no page is heavy."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Group, LoginSession, Membership, User
from broker.models import AccessSession, App, AuditEvent, Server
from tests.broker.cast import Cast
from tests.broker.console.browser import Browser

WEIGHT = 95_000
"""Bytes of a page at most; the style sheets, scripts and htmx that come with it weigh 105 KB at first, then nothing."""

PAGES = [
    # who, page, queries at most: signing in, the feed, deciding, notices and connectors in trouble take up to seven
    ("alice", "/", 6),
    ("adam", "/search?q=more", 12),
    ("adam", "/console/users", 9),
    ("adam", "/console/users?state=active&group=ops&sort=-seen", 9),
    ("adam", "/console/users/alice", 14),
    ("adam", "/console/groups", 7),
    ("adam", "/console/groups/ops", 10),
    ("adam", "/console/roles", 7),
    ("adam", "/console/roles/engineer", 8),
    ("adam", "/console/apps", 7),
    ("adam", "/console/apps/grafana", 9),
    ("adam", "/console/servers", 7),
    ("adam", "/console/servers/db-1", 9),
    ("adam", "/console/locks", 8),
    ("adam", "/console/sessions", 8),
    ("adam", "/console/login-sessions", 8),
    ("audrey", "/console/events", 12),
    ("audrey", "/console/events?q=person-00001", 12),
]


def document(kind: str, at: int, spec: dict[str, str]) -> dict[str, Any]:
    labels = {"env": "dev", "team": "more"}
    return {"kind": kind, "metadata": {"name": f"more-{at}", "labels": labels}, "spec": spec}


@pytest.fixture
def full(cast: Cast) -> Cast:
    """Enough of everything to fill each list many times over."""
    now, unusable, ops = timezone.now(), make_password(None), Group.objects.get(name="ops")
    users = [User(username=f"more-{at}", username_key=f"more-{at}", password=unusable) for at in range(300)]
    User.objects.bulk_create(users)
    Membership.objects.bulk_create(Membership(user=user, group=ops) for user in users)
    App.objects.bulk_create(
        App(name=f"more-{at}", host=f"more-{at}.test", document=document("app", at, {"uri": "http://192.0.2.1"}))
        for at in range(300)
    )
    Server.objects.bulk_create(
        Server(name=f"more-{at}", document=document("server", at, {"addr": "192.0.2.1:22"})) for at in range(300)
    )
    when = {"created_at": now, "last_seen_at": now, "expires_at": now + timedelta(hours=1)}
    LoginSession.objects.bulk_create(
        LoginSession(user=user, token_hash=str(at), device_name="Firefox", **when) for at, user in enumerate(users)
    )
    grafana = App.objects.get(name="grafana")
    AccessSession.objects.bulk_create(
        AccessSession(
            protocol="app",
            credential="cookie",
            token_hash=f"a{at}",
            login_session_id=cast.alice.session.pk,
            user_id=cast.alice.user.pk,
            user_name="alice",
            resource_id=grafana.pk,
            resource_name="grafana",
            started_at=now,
            last_used_at=now,
            expires_at=now + timedelta(hours=1),
        )
        for at in range(300)
    )
    top = AuditEvent.objects.latest("seq").seq
    AuditEvent.objects.bulk_create(
        AuditEvent(
            seq=top + at,
            at=now,
            name="app.requests",
            actor_kind="person",
            actor_name=f"person-{at:05}",
            resource_kind="app",
            resource_name="grafana",
            decision="permit",
            request_id=f"{at:032x}",
            data={"total": 3, "requests": [["GET", "/some/longer/path/to/a/dashboard", 3]]},
            search=f"app.requests person-{at:05}",
        )
        for at in range(1, 1000)
    )
    return cast


@pytest.mark.parametrize(("who", "path", "most"), PAGES, ids=[path for _, path, _ in PAGES])
def test_a_full_page_asks_little_and_weighs_little(full: Cast, who: str, path: str, most: int) -> None:
    browser = Browser(who)
    browser.text(path)
    with CaptureQueriesContext(connection) as queries:
        page = browser.text(path)
    asked = [query["sql"] for query in queries if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert len(asked) <= most, "\n".join(asked)
    assert len(page.encode()) < WEIGHT
