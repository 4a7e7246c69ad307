"""What I can open, search and why: everything of mine, and not a word about the rest (R04)."""

from __future__ import annotations

import pytest

from broker.models import App
from tests.broker.cast import Cast, change
from tests.broker.console.browser import Browser, words


def test_the_launcher_shows_what_roles_open_and_how(cast: Cast) -> None:
    page = Browser("alice").text("/")
    assert 'href="/launch/grafana"' in page
    assert "ssh deploy@db-1.postern" in page
    assert "<option>root</option>" in page
    assert "postern login http://postern.localhost:8080" in page
    less = Browser("bob").text("/")
    assert "ssh read@db-1.postern" in less
    assert "root@db-1" not in less


def test_the_launcher_finds_by_name_and_label(cast: Cast) -> None:
    alice = Browser("alice")
    assert "grafana" in alice.text("/", q="env=dev")
    assert "db-1" not in words(alice.get("/", q="grafana"))
    assert "Nothing here matches" in alice.text("/", q="nothing of that name")


def test_long_lists_go_on_from_a_cursor(cast: Cast) -> None:
    change(
        "\n---\n".join(
            f"{{kind: app, metadata: {{name: more-{at:03}, labels: {{env: dev}}}}, spec: {{uri: 'http://192.0.2.1'}}}}"
            for at in range(60)
        )
    )
    alice = Browser("alice")
    first = alice.text("/")
    assert "more-045" in first
    assert "more-059" not in first
    cursor = first.partition("?apps=")[2].partition('"')[0]
    assert "more-059" in alice.text("/", apps=cursor)
    assert alice.get("/", apps="made up").status_code == 400


@pytest.mark.parametrize("who", ["alice", "bob", "charlie", "audrey"])
@pytest.mark.parametrize("path", ["/", "/?q=canary", "/search?q=canary", "/search?q=a"])
def test_nobody_hears_of_what_is_not_theirs(cast: Cast, who: str, path: str) -> None:
    """R04: lists, search and explanations name no resource, user, group or role outside one's scope."""
    page = words(Browser(who).get(path)).replace("“canary”", "")
    for word in ("canary-", "8200", "holly", "helper", "192.0.2.2", "192.0.2.3"):
        assert word not in page


def test_an_unknown_and_a_forbidden_resource_sound_the_same(cast: Cast) -> None:
    """R04: nobody can find out names by asking why."""
    alice = Browser("alice")
    real = words(alice.get("/console/why", action="app.request", resource="canary-vault"))
    made_up = words(alice.get("/console/why", action="app.request", resource="canary-vaulx"))
    assert App.objects.filter(name="canary-vault").exists()
    assert real == made_up.replace("vaulx", "vault")


@pytest.mark.parametrize("kind", ["users", "groups", "roles", "apps", "servers"])
def test_what_exists_and_what_does_not_are_denied_alike(cast: Cast, kind: str) -> None:
    """R04: who may not look hears the same about a name that exists and one that does not."""
    alice = Browser("alice")
    names = {"users": "bob", "groups": "ops", "roles": "helper", "apps": "canary-vault", "servers": "canary-prod"}
    real, made_up = alice.get(f"/console/{kind}/{names[kind]}"), alice.get(f"/console/{kind}/zzz")
    assert real.status_code == made_up.status_code == 403
    said = [words(page).partition("Request id")[0] for page in (real, made_up)]
    assert said[0] == said[1]


def test_search_shows_administrators_what_they_may_list(cast: Cast) -> None:
    adam = words(Browser("adam").get("/search", q="canary"))
    assert "canary-vault" in adam
    assert "canary-prod" in adam
    holly = words(Browser("holly").get("/search", q="canary"))
    assert "canary-vault" not in holly
    assert "Users" in words(Browser("holly").get("/search", q="alice"))


def test_why_shows_each_role_and_what_failed_in_it(cast: Cast) -> None:
    page = words(Browser("adam").get("/console/why", user="bob", action="ssh.session", resource="root@db-1"))
    assert "Denial: bob, ssh.session root@db-1" in page
    assert "does not allow login root (allows: read)" in page
    assert "user:bob" in page
    question = {"user": "alice", "action": "ssh.session", "resource": "db-1", "login": "root"}
    allowed = words(Browser("adam").get("/console/why", **question))
    assert "Permit: alice" in allowed
    assert "group:ops" in allowed


def test_about_others_asks_only_who_may_read_users_and_roles(cast: Cast) -> None:
    """R04: for everybody else the question is about themselves, whatever the address says."""
    page = words(Browser("alice").get("/console/why", user="bob", action="app.request", resource="grafana"))
    assert "Permit: alice" in page
    assert "bob" not in page


def test_the_navigation_shows_only_what_opens(cast: Cast) -> None:
    assert "/console/" not in Browser("alice").text("/")
    audit = Browser("audrey").text("/")
    assert "/console/events" in audit
    assert "/console/users" not in audit
    administration = Browser("adam").text("/")
    assert "/console/users" in administration
    assert "/console/events" not in administration


@pytest.mark.parametrize("path", ["/", "/search", "/console/users", "/console/users/alice", "/console/why"])
def test_no_page_is_kept_by_anybody(cast: Cast, path: str) -> None:
    """S06: pages with session data are not stored, and run no script but ours."""
    response = Browser("adam").get(path)
    assert response.headers["Cache-Control"] == "no-store"
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
