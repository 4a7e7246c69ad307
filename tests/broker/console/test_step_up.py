"""Console pages and forms whose role wants a fresh second factor: asked, and back; what was sent is not done."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from accounts.models import LoginSession
from broker import live
from broker.models import AuditEvent, Lock
from broker.models import Role as RoleRow
from tests.broker.cast import Cast, change
from tests.broker.console.browser import Browser, words

ROLE = (
    "{{kind: role, metadata: {{name: careful}}, spec: {{options: {{{options}}},"
    " allow: {{rules: [{{resources: ['*'], verbs: ['*']}}]}}}}}}\n---\n"
    "{{kind: role_binding, spec: {{role: careful, user: charlie}}}}"
)


def charlie(minutes_ago: float = 10, options: str = "mfa_verification_interval: 5m", **fields: object) -> Browser:
    """In a browser, with a second factor that old and a role that wants more."""
    change(ROLE.format(options=options))
    browser = Browser("charlie")
    assert browser.session
    mfa_at = timezone.now() - timedelta(minutes=minutes_ago)
    LoginSession.objects.filter(pk=browser.session.pk).update(mfa_at=mfa_at, **fields)
    live.forget()
    return browser


def back_from(place: str) -> str:
    parts = urlsplit(place)
    assert parts.path == "/account/confirm"
    return parse_qs(parts.query)["next"][0]


@pytest.mark.parametrize("path", ["/console/roles?q=eng&sort=name", "/console/users/alice", "/console/locks/new"])
def test_a_page_asks_first_and_comes_back_to_itself(cast: Cast, path: str) -> None:
    """M22."""
    answer = charlie().get(path)
    assert answer.status_code == 302
    assert back_from(answer.headers["Location"]) == path
    assert AuditEvent.objects.filter(name="access.denied").count() == 1


@pytest.mark.parametrize(
    ("path", "form", "back"),
    [
        (
            "/console/locks/new",
            {"target_kind": "user", "target": "alice", "reason": "x", "ttl": ""},
            "/console/locks/new",
        ),
        ("/console/roles/engineer/delete", {"confirm": "yes"}, "/console/roles/engineer/delete"),
        ("/console/users/alice/enable", {}, "/console/users/alice"),  # has no page of its own
    ],
)
def test_a_form_is_not_done_and_its_page_is_where_one_comes_back(
    cast: Cast, path: str, form: dict[str, str], back: str
) -> None:
    """M22: nothing is kept of it."""
    browser = charlie()
    browser.http.defaults["HTTP_REFERER"] = "http://postern.localhost:8080/console/users/alice"
    answer = browser.post(path, **form)
    assert answer.status_code == 403
    assert "what you sent is not kept" in words(answer)
    assert "mfa-too-old" in words(answer)
    href = answer.content.decode().partition('href="/account/confirm')[2].partition('"')[0].replace("&amp;", "&")
    assert back_from("/account/confirm" + href) == back
    assert not Lock.objects.exists()
    assert RoleRow.objects.filter(name="engineer").exists()


def test_a_form_from_elsewhere_leads_home(cast: Cast) -> None:
    browser = charlie()
    browser.http.defaults["HTTP_REFERER"] = "http://evil.example/console/users/alice"
    assert "next=/" in browser.post("/console/users/alice/enable").content.decode()
    assert "evil" not in browser.post("/console/users/alice/enable").content.decode()


def test_htmx_is_led_by_its_own_header(cast: Cast) -> None:
    answer = charlie().http.get("/console/roles", headers={"HX-Request": "true"})
    assert answer.status_code == 403
    assert back_from(answer.headers["HX-Redirect"]) == "/console/roles"


def test_a_script_is_told_and_not_led(cast: Cast) -> None:
    answer = charlie().http.get("/console/roles", headers={"Sec-Fetch-Mode": "cors"})
    assert answer.status_code == 403
    assert "/account/confirm" in answer.content.decode()


def test_the_wrong_kind_just_given_is_told_in_words(cast: Cast) -> None:
    """M15: asked for the right kind; who comes back with another one is not asked in circles."""
    options = "require_session_mfa: phishing-resistant"
    asked = charlie(1, options).get("/console/roles")
    assert asked.status_code == 302
    assert asked.headers["Location"].endswith("&need=phishing-resistant")
    told = charlie(0, options).get("/console/roles")
    assert told.status_code == 403
    assert "passkey or security key" in words(told)
    assert "need=phishing-resistant" in told.content.decode()


def test_what_waits_for_a_confirmation_stays_in_the_navigation(cast: Cast) -> None:
    """It leads to a page that asks; what no role allows is not there."""
    page = charlie().text("/")
    assert 'href="/console/roles"' in page
    assert 'href="/console/roles"' not in Browser("alice").text("/")


def test_one_per_session_wants_five_minutes_and_nothing_spent(cast: Cast) -> None:
    options = "mfa_per_session: true"
    assert charlie(6, options).get("/console/roles").status_code == 302
    assert charlie(1, options, mfa_spent_at=timezone.now()).get("/console/roles").status_code == 302
    assert charlie(1, options).get("/console/roles").status_code == 200
