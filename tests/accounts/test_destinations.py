"""Where a browser may be sent after signing in."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.destinations import HOME, safe_next
from tests.conftest import Clock, Person

ELSEWHERE = [
    "",
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "http:evil",
    "account",
    "/account\0",
    "/account\r\nSet-Cookie: a=b",
    "/\u2028account",
    "/ａccount",
    "/@evil.example",
    "/no/such/page",
    "/account/../../evil",
    "/sign-out",
    "/sign-in",
    "/sign-in/second-factor",
    "/invite/abc",
    "/oauth/token",
    "/static/x.js",
    "/api/v1/status",
    "/account?" + "x" * 6000,
]


@pytest.mark.parametrize("text", ELSEWHERE)
def test_what_is_no_page_of_ours_leads_home(text: str) -> None:
    """L33."""
    assert safe_next(text) == HOME


@pytest.mark.parametrize(
    "text",
    [
        "/",
        "/account",
        "/launch/grafana?next=/d/1&state=x",
        "/oauth/authorize?client_id=a",
        "/account?next=//evil.example",
    ],
)
def test_pages_of_ours_stay(text: str) -> None:
    assert safe_next(text) == text


@pytest.mark.parametrize("text", ["https://evil.example/", "//evil.example", "/\\evil.example"])
@pytest.mark.django_db(transaction=True)
def test_signing_in_never_leads_elsewhere(alice: Person, browser: Client, clock: Clock, text: str) -> None:
    """L33."""
    browser.post("/sign-in", {"username": "alice", "password": alice.password, "next": text})
    assert browser.post("/sign-in/second-factor", {"code": alice.code()})["Location"] == "/"
    assert browser.get("/sign-in", {"next": text})["Location"] == "/"


@pytest.mark.django_db
def test_a_post_is_not_repeated_after_signing_in(browser: Client) -> None:
    """L33."""
    assert browser.post("/account/sign-out-everywhere")["Location"] == "/sign-in"


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["cors", "same-origin", "no-cors"])
def test_scripts_get_401_instead_of_a_page(browser: Client, mode: str) -> None:
    answer = browser.get("/account", headers={"Sec-Fetch-Mode": mode})
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
def test_htmx_is_told_to_leave_the_page(browser: Client) -> None:
    answer = browser.get("/account", headers={"HX-Request": "true", "Sec-Fetch-Mode": "cors"})
    assert answer.status_code == 401
    assert answer["HX-Redirect"] == "/sign-in"
