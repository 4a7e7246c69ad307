"""Who gets which answer: every address of the console, for everybody, held against a table that people review (R03)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.models import Connector, Identity
from accounts.services import factor_resets
from accounts.services.users import user_named
from broker import live
from broker.audit.origin import system
from broker.console import urls
from broker.console.yaml_text import version_of
from broker.models import AccessSession, App, AuditEvent, Lock, Role, Server
from tests.broker.cast import Cast, change
from tests.broker.console.browser import Browser, words

ROWS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "access_matrix.yaml").read_text())
ACTORS = ("anonymous", "alice", "audrey", "adam", "holly")
FILLED = {
    "user": "charlie",
    "group": "ops",
    "member": "alice",
    "role": "engineer",
    "app": "grafana",
    "server": "db-1",
    "binding": "reader:user:bob",
    "connector": "corp",
}
CONNECTORS = """
{kind: oidc, metadata: {name: corp}, spec: {issuer: 'http://127.0.0.1:9', client_id: postern}}
---
{kind: ldap, metadata: {name: directory}, spec: {urls: ['ldap://127.0.0.1:9'], user_search: {base: 'dc=example'}}}
---
{kind: scim, metadata: {name: office}}
"""
# what the address of a page calls a thing is what the table calls it
WORDS = {
    "users": "user",
    "groups": "group",
    "members": "member",
    "roles": "role",
    "bindings": "binding",
    "apps": "app",
    "servers": "server",
    "connectors": "connector",
    "identities": "identity",
    "locks": "lock",
    "events": "event",
    "sessions": "use",
    "login-sessions": "login",
}


def addresses() -> dict[str, str]:
    """`METHOD address` of every page of the console, and the action it needs."""
    found = {}
    for pattern in urls.urlpatterns:
        parts = str(pattern.pattern).split("/")
        named = [f"{{{WORDS[before]}}}" if part.startswith("<") else part for before, part in pairwise(["", *parts])]
        shown = "/".join(named)
        page: Any = pattern.callback
        for method in page.methods:
            if method != "HEAD":
                found[f"{method} /{shown}"] = page.action or "none"
    return found


def test_every_address_has_a_row_and_every_row_an_address() -> None:
    """R03: a new page without a reviewed row fails here, and so does a page that asks for another action."""
    assert {row["page"]: row["action"] for row in ROWS} == addresses()
    for row in ROWS:
        assert tuple(row["answers"]) == ACTORS, row["page"]


def test_no_page_of_the_console_is_outside_its_table() -> None:
    """Whatever resolves under /console is one of ours, entered through `broker.console.entry`."""

    def paths(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str, URLPattern]]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from paths(pattern.url_patterns, before + str(pattern.pattern))
            else:
                yield before + str(pattern.pattern), pattern

    ours = [(path, pattern) for path, pattern in paths(get_resolver().url_patterns) if path.startswith("console/")]
    assert ours
    assert all(hasattr(pattern.callback, "action") for _, pattern in ours)
    assert {str(pattern.pattern) for pattern in urls.urlpatterns if str(pattern.pattern).startswith("console/")} == {
        path for path, _ in ours
    }


@pytest.mark.parametrize("row", ROWS, ids=[row["page"] for row in ROWS])
def test_everybody_gets_the_answer_of_the_table(cast: Cast, row: dict[str, Any]) -> None:
    """R01, R03, X01: each actor in a world of their own; a refusal is on record once and changes nothing."""
    lock = Lock.objects.create(target_kind="login", target_id="x", target_name="x", reason="r")
    use = app_session(cast)
    change(CONNECTORS)
    known = {
        **FILLED,
        "lock": str(lock.pk),
        "use": str(use.pk),
        "login": str(cast.bob.session.pk),
        "event": str(AuditEvent.objects.latest("seq").seq),
        "connector": {"try": "directory", "token": "office"}.get(row["page"].rpartition("/")[2], "corp"),
        "identity": str(identity_of_charlie().pk) if "{identity}" in row["page"] else "",
        "CORP_VERSION": version_of(Connector.objects.get(name="corp").document),
        "ROLE_VERSION": version_of(Role.objects.get(name="engineer").document),
        "APP_VERSION": version_of(App.objects.get(name="grafana").document),
        "SERVER_VERSION": version_of(Server.objects.get(name="db-1").document),
    }
    method, _, path = row["page"].partition(" ")
    if "/reset-factor/" in path:
        factor_resets.ask(system("tests"), user_named(FILLED["user"]))
    form = {name: known[text] if text.isupper() else text for name, text in row.get("form", {}).items()}
    got = {}
    for actor in ACTORS:
        live.forget()
        before = transaction.savepoint()
        browser = Browser("" if actor == "anonymous" else actor)
        token = browser.post if method == "POST" else None
        events = set(AuditEvent.objects.values_list("pk", flat=True))
        response = token(path.format(**known), **form) if token else browser.get(path.format(**known))
        got[actor] = response.status_code
        new = list(AuditEvent.objects.exclude(pk__in=events))
        if response.status_code >= 400:
            assert {event.name for event in new} <= {"access.denied"}
            assert len(new) == (actor != "anonymous")
        if actor == "anonymous" and response.status_code == 302:
            assert response.headers["Location"].startswith("/sign-in")
        if actor != "anonymous" and response.status_code == 403:
            said = words(response)
            assert f"no role of {actor} allows {row['action']}" in said
            assert new[0].request_id in said
            assert new[0].data["action"] == row["action"]
        if method == "POST" and response.status_code < 400 and actor != "anonymous":
            done = {event.name for event in new} - {"access.denied"}
            assert done or row["page"].endswith(("/enable", "/test")), "nothing was done"
        transaction.savepoint_rollback(before)
    live.forget()
    assert got == row["answers"]


def identity_of_charlie() -> Identity:
    """charlie at the provider corp."""
    corp = Connector.objects.get(name="corp")
    return Identity.objects.create(user=user_named("charlie"), connector=corp, issuer="http://127.0.0.1:9", subject="c")


def app_session(cast: Cast) -> AccessSession:
    """alice at grafana, now."""
    now = timezone.now()
    return AccessSession.objects.create(
        protocol="app",
        credential="cookie",
        token_hash="t",
        login_session_id=cast.alice.session.pk,
        user_id=cast.alice.user.pk,
        user_name="alice",
        resource_id=App.objects.get(name="grafana").pk,
        resource_name="grafana",
        roles=["engineer"],
        started_at=now,
        last_used_at=now,
        expires_at=now + timedelta(hours=1),
    )
