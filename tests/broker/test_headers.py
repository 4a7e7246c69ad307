"""What every answer of the broker carries, and what health says: nothing."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.conftest import Person

PAGES = ("/sign-in", "/", "/account", "/console/users", "/no-such-page", "/api/v1/status", "/oauth/authorize")


@pytest.mark.parametrize("path", PAGES)
def test_no_page_can_be_framed_sniffed_or_kept(path: str, alice: Person) -> None:
    """X06, S06: for people signed in and not, on errors too."""
    for client in (Client(), alice.client):
        response = client.get(path)
        policy = response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "same-origin"


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "said"), [("/healthz", b"ok\n"), ("/readyz", b"ready\n")])
def test_health_tells_nothing_but_that(path: str, said: bytes) -> None:
    """O19."""
    assert Client().get(path).content == said


@pytest.mark.django_db
def test_a_foreign_host_name_is_refused() -> None:
    """X12: no link we make can be led elsewhere by the Host header."""
    for host in ("evil.example", "postern.localhost.evil.example", "postern.localhost@evil", "a.postern.localhost"):
        assert Client().get("/sign-in", headers={"Host": host}).status_code == 400
