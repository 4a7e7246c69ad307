"""What clients send, read: a user or a group as a whole, and the operations of a PATCH. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broker.scim.words import (
    EMAIL_PARTS,
    GROUP,
    GROUP_ATTRIBUTES,
    NAME_PARTS,
    PATCH,
    USER,
    USER_ATTRIBUTES,
    Wrong,
    pick,
    text,
    truth,
)
from broker.services.scim_groups import GroupChange
from broker.services.scim_users import UserRecord

MOST_EMAILS = 20
MOST_MEMBERS = 10_000
MOST_OPERATIONS = 1_000


class TooMany(Wrong):
    """More than is taken at once."""

    def __init__(self, message: str) -> None:
        super().__init__("tooMany", message, "send it in parts")


def user_in(body: Mapping[str, Any]) -> UserRecord:
    """The user that a body describes; attributes that nobody keeps here are passed over. Raises Wrong."""
    given = pick(body, USER_ATTRIBUTES, USER)
    user_name = text(given.get("userName"), "userName").strip()
    if not user_name:
        raise Wrong("invalidValue", "userName is missing")
    active = given.get("active")
    return UserRecord(
        user_name=user_name,
        external_id=text(given.get("externalId"), "externalId"),
        display_name=text(given.get("displayName"), "displayName"),
        name=name_in(given.get("name")),
        emails=tuple(emails_in(given.get("emails"))),
        active=None if active is None else truth(active, "active"),
    )


def name_in(value: Any) -> dict[str, str]:
    """The parts of a name."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Wrong("invalidValue", "name is not an object")
    parts = {part: text(word, f"name.{part}") for part, word in pick(value, NAME_PARTS).items()}
    return {part: word for part, word in parts.items() if word}


def emails_in(value: Any) -> list[dict[str, Any]]:
    """Mail addresses; of two that are marked as primary the last one is."""
    items = [] if value is None else value if isinstance(value, list) else [value]
    if len(items) > MOST_EMAILS:
        raise TooMany(f"there are more than {MOST_EMAILS} emails")
    found = [email for email in map(email_in, items) if email.get("value")]
    primary = [email for email in found if email.get("primary")]
    for email in primary[:-1]:
        email["primary"] = False
    return found


def email_in(item: Any) -> dict[str, Any]:
    """One mail address, or some parts of it."""
    if not isinstance(item, dict):
        raise Wrong("invalidValue", "one of emails is not an object")
    given = {part: value for part, value in pick(item, EMAIL_PARTS).items() if value is not None}
    found: dict[str, Any] = {}
    for part, value in given.items():
        longest = 254 if part == "value" else 64
        found[part] = truth(value, "primary") if part == "primary" else text(value, f"emails.{part}", longest)
    return found


def group_in(body: Mapping[str, Any]) -> GroupChange:
    """The group that a body describes, as a whole: who is not among the members is out. Raises Wrong."""
    given = pick(body, GROUP_ATTRIBUTES, GROUP)
    name = text(given.get("displayName"), "displayName").strip()
    if not name:
        raise Wrong("invalidValue", "displayName is missing")
    return GroupChange(name, text(given.get("externalId"), "externalId"), members_in(given.get("members")))


def members_in(value: Any) -> frozenset[str]:
    """The ids of members. Raises Wrong; TooMany beyond what is taken at once."""
    items = [] if value is None else value if isinstance(value, list) else [value]
    if len(items) > MOST_MEMBERS:
        raise TooMany(f"there are more than {MOST_MEMBERS} members in one request")
    return frozenset(_member(item) for item in items)


def _member(item: Any) -> str:
    if not isinstance(item, dict):
        raise Wrong("invalidValue", "one of members is not an object")
    given = pick(item, ("value", "type"))
    if text(given.get("type"), "members.type").lower() == "group":
        raise Wrong("invalidValue", "a group cannot be in a group here", "send the people in it")
    ident = text(given.get("value"), "members.value", 64).lower()
    if not ident:
        raise Wrong("invalidValue", "one of members has no value")
    return ident


def operations_in(body: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """The operations of a PATCH: `add`, `replace` or `remove`, path (may be empty) and value. Raises Wrong."""
    given = pick(body, ("schemas", "Operations"))
    schemas = given.get("schemas")
    if not isinstance(schemas, list) or PATCH not in schemas:
        raise Wrong("invalidSyntax", "this is not marked as a PATCH", f"schemas: [{PATCH!r}]")
    operations = given.get("Operations")
    if not isinstance(operations, list) or not operations:
        raise Wrong("invalidSyntax", "there are no Operations")
    if len(operations) > MOST_OPERATIONS:
        raise TooMany(f"there are more than {MOST_OPERATIONS} operations")
    return [_operation(item) for item in operations]


def _operation(item: Any) -> tuple[str, str, Any]:
    if not isinstance(item, dict):
        raise Wrong("invalidSyntax", "one of Operations is not an object")
    given = pick(item, ("op", "path", "value"))
    verb = text(given.get("op"), "op").lower()
    if verb not in ("add", "replace", "remove"):
        raise Wrong("invalidSyntax", f"op {verb[:32]!r} is none of add, replace and remove")
    path = text(given.get("path"), "path", 500).strip()
    if verb == "remove" and not path:
        raise Wrong("noTarget", "remove needs a path")
    if verb != "remove" and "value" not in given:
        raise Wrong("invalidValue", f"{verb} needs a value")
    return verb, path, given.get("value")
