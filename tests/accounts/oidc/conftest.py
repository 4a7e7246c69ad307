"""A hostile provider, a connector for it, and browsers that go there and come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts import connectors
from accounts.models import Connector, LoginSession
from accounts.oidc import discovery, keys
from broker.models import AuditEvent
from tests.accounts.conftest import _urls, urlpatterns  # noqa: F401 - these tests use the same addresses
from tests.accounts.oidc.provider import CLIENT_ID, CLIENT_SECRET, HostileProvider
from tests.conftest import new_client


@pytest.fixture
def op() -> Iterator[HostileProvider]:
    """The provider, fresh."""
    discovery.forget()
    keys.forget()
    connectors.forget()
    with HostileProvider() as provider:
        yield provider


ConnectorMaker = Callable[..., Connector]


@pytest.fixture
def connect(op: HostileProvider, db: None) -> ConnectorMaker:
    """Makes a connector for the provider; `create_users` is true unless said otherwise."""

    def make(name: str = "corp", *, enabled: bool = True, **spec: Any) -> Connector:
        body = {"issuer": op.issuer, "client_id": CLIENT_ID, "create_users": True, **spec}
        body = {key: value for key, value in body.items() if value is not None}
        document = {"kind": "oidc", "metadata": {"name": name}, "spec": body}
        return Connector.objects.create(
            kind="oidc", name=name, document=document, secret=CLIENT_SECRET, enabled=enabled
        )

    return make


@pytest.fixture
def corp(connect: ConnectorMaker) -> Connector:
    return connect(groups=[{"claim": "groups", "groups": ["{{external.groups}}"]}])


@dataclass
class Traveller:
    """A browser on its way to a provider."""

    op: HostileProvider
    browser: Client = field(default_factory=new_client)

    def go(self, name: str = "corp", next: str = "", path: str = "") -> str:
        """Set off; answers where the provider's page is."""
        page = self.browser.post(path or f"/oidc/{name}/sign-in", {"next": next})
        assert page.status_code == 200, f"{page.status_code} {words(page)}"
        url: str = page.context["url"]
        return url

    def back(self, answer: dict[str, str], name: str = "corp") -> HttpResponse:
        """Come back with what the provider says."""
        return self.browser.get(f"/oidc/{name}/callback", answer)  # type: ignore[return-value]

    def there_and_back(self, connector: str = "corp", onward: str = "", **claims: Any) -> HttpResponse:
        """The whole way."""
        return self.back(self.op.grant(self.go(connector, onward), claims), connector)

    @property
    def is_in(self) -> bool:
        return self.browser.get("/account").status_code == 200

    @property
    def got_past_the_first_step(self) -> bool:
        """Whether a second factor is all that is left to give."""
        return self.browser.get("/sign-in/enrol").status_code == 200 or (
            self.browser.get("/sign-in/second-factor").status_code == 200
        )


@pytest.fixture
def traveller(op: HostileProvider) -> Traveller:
    return Traveller(op)


def words(page: Any) -> str:
    """The text of a page's main part."""
    import re

    return " ".join(re.sub(r"<[^>]+>", " ", page.content.decode().split("<main")[-1]).split())


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def refusals() -> list[str]:
    """The stable names of what was refused, as the log has them."""
    events = AuditEvent.objects.filter(name="connector.sign_in.refused").order_by("seq")
    return [event.data["why"] for event in events]


def assert_refused(page: Any, why: str, status: int = 403) -> None:
    """A page in plain words with the stable name, and nobody let in."""
    assert page.status_code == status, f"{page.status_code} {page.headers} {words(page)}"
    assert why in words(page), words(page)
    assert not LoginSession.objects.filter(via__startswith="oidc:").exists()
