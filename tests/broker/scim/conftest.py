"""A SCIM client at the door, and everybody else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts import connectors
from accounts.models import Connector
from broker.documents import ScimSpec, to_document
from broker.scim.words import PATCH, USER
from broker.services.scim_tokens import PREFIX
from broker.tokens import digest, new_token
from tests.broker.cast import ADDRESS, Cast


@dataclass
class Provisioner:
    """A provisioning client with its token, as it speaks."""

    connector: Connector
    token: str = field(repr=False)
    http: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True, raise_request_exception=False))

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        """One request. A body that is text or bytes goes as it is."""
        about = {
            "host": "postern.localhost:8080",
            "x-real-ip": ADDRESS,
            "authorization": f"Bearer {self.token}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        kind = about.pop("content-type", "application/scim+json")
        raw = body if isinstance(body, str | bytes) else "" if body is None else json.dumps(body)
        return self.http.generic(method, f"/scim/v2/{path}", raw, content_type=kind, headers=about)  # type: ignore[return-value]

    def ok(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> dict[str, Any]:
        """The answer's body; it must have that status."""
        response = self.send(method, path, body, **headers)
        assert response.status_code == status, (response.status_code, response.content)
        return json.loads(response.content) if response.content else {}

    def error(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        """Status and `scimType` of a refusal, which must be an error document."""
        response = self.send(method, path, body, **headers)
        told = json.loads(response.content)
        assert response.headers["Content-Type"] == "application/scim+json"
        assert told["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        assert told["status"] == str(response.status_code)
        assert told["detail"]
        return response.status_code, told.get("scimType", "")

    def user(self, name: str, **more: Any) -> dict[str, Any]:
        """A new user."""
        return self.ok("POST", "Users", {"schemas": [USER], "userName": name, **more}, 201)

    def group(self, name: str, *members: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """A new group."""
        refs = [{"value": member["id"]} for member in members]
        return self.ok("POST", "Groups", {"displayName": name, "members": refs, **more}, 201)

    def patch(self, path: str, *operations: Mapping[str, Any], status: int = 200, **headers: str) -> dict[str, Any]:
        """A PATCH that works."""
        return self.ok("PATCH", path, patch_of(*operations), status, **headers)


def patch_of(*operations: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a PATCH."""
    return {"schemas": [PATCH], "Operations": list(operations)}


def provisioner(name: str = "okta", **spec: Any) -> Provisioner:
    """A connector of kind scim with a token."""
    token = new_token(PREFIX)
    row = Connector.objects.create(
        kind="scim", name=name, document=to_document(ScimSpec(name, **spec)), token_hash=digest(token)
    )
    return Provisioner(row, token)


@pytest.fixture
def cast(db: None) -> Cast:
    """Everybody, and what there is to open."""
    connectors.forget()
    return Cast()


@pytest.fixture
def okta(cast: Cast) -> Provisioner:
    """A client that may keep only what it makes itself."""
    return provisioner()
