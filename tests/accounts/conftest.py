"""Accounts' own addresses with a home page and a launcher, so that these tests stand without the rest of the broker."""

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def _page(request: HttpRequest, name: str = "") -> HttpResponse:
    return HttpResponse(f"page {name}")


urlpatterns = [
    path("", include("broker.health")),
    path("", include("accounts.urls")),
    path("", _page),
    path("launch/<str:name>", _page),
]
handler404 = "broker.console.errors.not_found"


@pytest.fixture(autouse=True)
def _urls(settings: object) -> None:
    settings.ROOT_URLCONF = "tests.accounts.conftest"  # type: ignore[attr-defined]
