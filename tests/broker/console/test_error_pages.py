"""The pages for failures: under the real policy, with the request's id, without a question to the database."""

from __future__ import annotations

import re
from typing import cast

from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from broker.console.errors import error_page
from broker.errors import NotFound


def answer_to(status: int) -> HttpResponse:
    """The error page as it leaves the policy's middleware; no `db` fixture, so touching the database fails the test."""

    def view(request: HttpRequest) -> HttpResponse:
        return error_page(request, f"errors/{status}.html", status, text=NotFound("no such <app>").message)

    request = RequestFactory().get("/")
    request.request_id = "3f9a1c77d02e4b18"  # type: ignore[attr-defined]
    return cast(HttpResponse, CSPMiddleware(view)(request))


def test_an_error_page_carries_the_nonce_its_policy_names() -> None:
    """Inline style only under a fresh nonce."""
    first, second = answer_to(404), answer_to(500)
    nonces = [re.search(r'<style nonce="([^"]{16,})">', answer.content.decode()) for answer in (first, second)]
    for answer, nonce in zip((first, second), nonces, strict=True):
        assert nonce
        assert f"'nonce-{nonce[1]}'" in answer.headers["Content-Security-Policy"]
    assert nonces[0][1] != nonces[1][1]  # type: ignore[index]


def test_an_error_page_quotes_the_request_and_escapes_the_failure() -> None:
    page = answer_to(404).content.decode()
    assert "3f9a1c77d02e4b18" in page
    assert "no such &lt;app&gt;" in page


def test_a_server_error_says_nothing_of_its_cause() -> None:
    assert "no such" not in answer_to(500).content.decode()
