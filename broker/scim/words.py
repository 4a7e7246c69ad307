"""The names that the standard gives, and how a client may write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from broker.errors import PosternError

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"

NAME_PARTS = ("formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix")
EMAIL_PARTS = ("value", "type", "primary", "display")
USER_ATTRIBUTES = ("userName", "externalId", "displayName", "name", "emails", "active")
GROUP_ATTRIBUTES = ("displayName", "externalId", "members")
READ_ONLY = frozenset({"id", "meta", "schemas", "groups"})

_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")


class Wrong(PosternError):
    """A request that cannot be done as it stands; `kind` is the standard's name for why (`scimType`)."""

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind


def without_schema(path: str, schema: str) -> str:
    """A path without its schema's name in front; empty if it is of another schema, which nobody keeps here."""
    if not path.lower().startswith("urn:"):
        return path
    head = path[: len(schema) + 1].lower()
    return path[len(schema) + 1 :] if head == f"{schema.lower()}:" else ""


def named(name: str, known: Sequence[str]) -> str:
    """The attribute that a name in any case means; empty if there is none."""
    return next((attribute for attribute in known if attribute.lower() == name.lower()), "")


def pick(given: Mapping[str, Any], known: Sequence[str], schema: str = "") -> dict[str, Any]:
    """The attributes of an object that are known, by their own names. Raises Wrong for one given twice."""
    found: dict[str, Any] = {}
    for key, value in given.items():
        attribute = named(without_schema(key, schema) if schema else key, known)
        if attribute in found:
            raise Wrong("invalidSyntax", f"{attribute} is there twice, in two spellings")
        if attribute:
            found[attribute] = value
    return found


def must_be_keepable(value: Any) -> None:
    """Raises Wrong for a text, key or value, that no database keeps. `value` is of bounded depth."""
    match value:
        case str():
            if _UNKEEPABLE.search(value):
                raise Wrong("invalidValue", "a text holds a NUL or half a character")
        case list():
            for item in value:
                must_be_keepable(item)
        case dict():
            for key, item in value.items():
                must_be_keepable(key)
                must_be_keepable(item)


def text(value: Any, what: str, longest: int = 255) -> str:
    """A text of bounded length; None is none. Raises Wrong."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Wrong("invalidValue", f"{what} is not a text")
    if len(value) > longest:
        raise Wrong("invalidValue", f"{what} is longer than {longest} characters")
    return value


def truth(value: Any, what: str) -> bool:
    """A boolean, also written as a text in any case. Raises Wrong."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise Wrong("invalidValue", f"{what} is neither true nor false")
