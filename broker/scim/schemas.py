"""What this door can do, in the standard's own terms: configuration, resource types and schemas (RFC 7643, 5 to 7)."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from broker.errors import NotFound
from broker.scim import answers
from broker.scim.door import MAX_PAGE, ScimRequest
from broker.scim.words import GROUP, NAME_PARTS, USER

_CORE = "urn:ietf:params:scim:schemas:core:2.0"


def configuration(request: ScimRequest) -> HttpResponse:
    """What is supported and what is not."""
    return answers.answer(
        {
            "schemas": [f"{_CORE}:ServiceProviderConfig"],
            "patch": {"supported": True},
            "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
            "filter": {"supported": True, "maxResults": MAX_PAGE},
            "changePassword": {"supported": False},
            "sort": {"supported": False},
            "etag": {"supported": True},
            "authenticationSchemes": [
                {
                    "type": "oauthbearertoken",
                    "name": "Bearer token",
                    "description": "the client's own token, made by an administrator",
                    "primary": True,
                }
            ],
            "meta": {
                "resourceType": "ServiceProviderConfig",
                "location": answers.location("ServiceProviderConfig"),
            },
        }
    )


def resource_types(request: ScimRequest) -> HttpResponse:
    """The kinds of things there are."""
    return answers.listed([_type("User", USER), _type("Group", GROUP)], 2, 0)


def resource_type(request: ScimRequest, name: str) -> HttpResponse:
    """One of them. Raises NotFound."""
    return _one(name, {"User": _type("User", USER), "Group": _type("Group", GROUP)})


def schemas(request: ScimRequest) -> HttpResponse:
    """The attributes there are."""
    return answers.listed([_USER_SCHEMA, _GROUP_SCHEMA], 2, 0)


def schema(request: ScimRequest, name: str) -> HttpResponse:
    """One schema. Raises NotFound."""
    return _one(name, {USER: _USER_SCHEMA, GROUP: _GROUP_SCHEMA})


def unsupported(request: ScimRequest) -> HttpResponse:
    """What the standard has and this door has not: bulk, `/Me`, searching by POST."""
    return answers.error(501, "this is not supported here; see /scim/v2/ServiceProviderConfig")


def unknown(request: ScimRequest) -> HttpResponse:
    """Any other address."""
    return answers.error(404, "there is no such address; see /scim/v2/ResourceTypes")


def _one(name: str, known: dict[str, dict[str, Any]]) -> HttpResponse:
    if name not in known:
        raise NotFound(f"there is no {name[:64]!r}")
    return answers.answer(known[name])


def _type(name: str, schema: str) -> dict[str, Any]:
    return {
        "schemas": [f"{_CORE}:ResourceType"],
        "id": name,
        "name": name,
        "endpoint": f"/{name}s",
        "schema": schema,
        "meta": {"resourceType": "ResourceType", "location": answers.location("ResourceTypes", name)},
    }


def _attribute(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    plain = {
        "name": name,
        "type": kind,
        "multiValued": False,
        "description": "",
        "required": False,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    }
    if kind == "string":
        plain["caseExact"] = False
    return {**plain, **more}


def _schema(urn: str, name: str, *attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        "schemas": [f"{_CORE}:Schema"],
        "id": urn,
        "name": name,
        "description": "",
        "attributes": list(attributes),
        "meta": {"resourceType": "Schema", "location": answers.location("Schemas", urn)},
    }


def _refers(name: str, *, mutability: str, to: list[str], why: str) -> dict[str, Any]:
    parts = [
        _attribute("value", mutability="immutable" if mutability == "readWrite" else mutability),
        _attribute("display", mutability="readOnly"),
        _attribute("$ref", "reference", mutability="readOnly", referenceTypes=to),
        _attribute("type", mutability="readOnly"),
    ]
    more = {"multiValued": True, "mutability": mutability, "subAttributes": parts, "description": why}
    return _attribute(name, "complex", **more)


_USER_SCHEMA = _schema(
    USER,
    "User",
    _attribute(
        "userName",
        required=True,
        uniqueness="server",
        description="gives the name here: itself, or of an address the part before the @",
    ),
    _attribute("externalId", caseExact=True, description="the client's own id of the user"),
    _attribute("displayName"),
    _attribute("name", "complex", subAttributes=[_attribute(part) for part in NAME_PARTS]),
    _attribute(
        "emails",
        "complex",
        multiValued=True,
        description="the primary one counts, else the one of type work, else the first",
        subAttributes=[
            _attribute("value"),
            _attribute("type"),
            _attribute("primary", "boolean"),
            _attribute("display"),
        ],
    ),
    _attribute("active", "boolean", description="false: the user is out at once, and all they have open is cut"),
    _refers("groups", mutability="readOnly", to=["Group"], why="the groups that this client keeps the user in"),
)
_GROUP_SCHEMA = _schema(
    GROUP,
    "Group",
    _attribute("displayName", required=True, uniqueness="server", description="gives the name here"),
    _attribute("externalId", caseExact=True),
    _refers("members", mutability="readWrite", to=["User"], why="users that this client provisioned"),
)
