"""PATCH (RFC 7644, 3.5.2): operations applied to what is there. Pure: values in, values out.

Lenient where Okta and Entra are: any case, `active` as a text, objects without a path, `members` with a filter, an
address of a type that is not there yet. What nobody keeps here is passed over; a path that cannot be read is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from broker.scim.bodies import email_in, emails_in, members_in, name_in
from broker.scim.words import (
    EMAIL_PARTS,
    GROUP,
    NAME_PARTS,
    READ_ONLY,
    USER,
    Wrong,
    named,
    text,
    truth,
    without_schema,
)
from broker.services.scim_groups import GroupChange

Operation = tuple[str, str, Any]

_STRING = r'"(?:[^"\\]|\\.)*"'
_PATH = re.compile(
    rf"(?P<attribute>[A-Za-z$][\w$-]*)"
    rf"(?:\[\s*(?P<by>\w+)\s+eq\s+(?P<value>{_STRING}|true|false)\s*\])?"
    rf"(?:\.(?P<sub>[A-Za-z$][\w$-]*))?",
    re.IGNORECASE,
)
_TEXTS = ("userName", "externalId", "displayName")


@dataclass(frozen=True, slots=True)
class Path:
    """Where an operation acts: an attribute, perhaps those of its values where `by` equals `value`, a part of it."""

    attribute: str
    by: str = ""
    value: str = ""
    sub: str = ""


def path_in(written: str, schema: str) -> Path | None:
    """The path that a text says; None if it is of another schema. Raises Wrong (`invalidPath`)."""
    if written.lower() == schema.lower():
        return None
    inner = without_schema(written, schema)
    if not inner:
        return None
    match = _PATH.fullmatch(inner)
    if match is None:
        raise Wrong("invalidPath", f"the path {written[:64]!r} cannot be read")
    value = match["value"] or '""'
    try:
        wanted = json.loads(value) if value.startswith('"') else value.lower()
    except ValueError:
        raise Wrong("invalidPath", f"the path {written[:64]!r} cannot be read") from None
    return Path(match["attribute"], (match["by"] or "").lower(), str(wanted), match["sub"] or "")


def patched_user(said: Mapping[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    """The body of a user after the operations, still to be read as one. Raises Wrong."""
    user = {**said, "name": dict(said.get("name", {})), "emails": [dict(email) for email in said.get("emails", ())]}
    for verb, path, value in operations:
        if path and path.lower() != USER.lower():
            _patch_user(user, verb, path, value)
            continue
        for key, item in _object(value).items():
            if key.lower() not in READ_ONLY and key.lower() != "password":
                _patch_user(user, verb, key, item)
    return user


def says_inactive(operations: Iterable[Operation]) -> bool:
    """Whether the operations end with the user inactive, whatever else is wrong with them."""
    inactive = False
    for _, path, value in operations:
        given = value if not path and isinstance(value, dict) else {path: value}
        for key, item in given.items():
            if without_schema(key, USER).lower() == "active":
                inactive = item is False or (isinstance(item, str) and item.lower() == "false")
    return inactive


def _patch_user(user: dict[str, Any], verb: str, written: str, value: Any) -> None:
    path = path_in(written, USER)
    if path is None:
        return
    if path.attribute.lower() in READ_ONLY:
        raise Wrong("mutability", f"{path.attribute} cannot be changed")
    if path.attribute.lower() == "password":
        raise Wrong("mutability", "passwords are not taken over SCIM", "people sign in elsewhere, or by an invite")
    attribute = named(path.attribute, (*_TEXTS, "active", "name", "emails"))
    gone = verb == "remove" or value is None
    match attribute:
        case "name":
            _patch_name(user, path, gone=gone, value=value)
        case "emails":
            _patch_emails(user, verb, path, gone=gone, value=value)
        case "active":
            if gone:
                raise Wrong("invalidValue", "active is neither true nor false")
            user["active"] = truth(value, "active")
        case "":
            pass
        case _:
            if gone and attribute == "userName":
                raise Wrong("mutability", "userName cannot be removed")
            user[attribute] = "" if gone else text(value, attribute)


def _patch_name(user: dict[str, Any], path: Path, *, gone: bool, value: Any) -> None:
    name = user["name"]
    if not path.sub:
        user["name"] = {} if gone else {**name, **name_in(value)}
        return
    part = named(path.sub, NAME_PARTS)
    if part:
        name[part] = "" if gone else text(value, f"name.{part}")


def _patch_emails(user: dict[str, Any], verb: str, path: Path, *, gone: bool, value: Any) -> None:
    emails: list[dict[str, Any]] = user["emails"]
    if not path.by and not path.sub:
        if gone:
            user["emails"] = []
        else:
            new = emails_in(value)
            user["emails"] = new if verb == "replace" else _merged(emails, new)
        return
    chosen = [email for email in emails if not path.by or _has(email, path)]
    part = named(path.sub, EMAIL_PARTS)
    if path.sub and not part:
        return
    if gone:
        for email in chosen:
            if part and part != "value":
                email.pop(part, None)
            else:
                emails.remove(email)
        return
    if not chosen:
        chosen = [_new_email(user, path, verb)]
    for email in chosen:
        email.update(email_in({part: value} if part else value))
    if any(email.get("primary") for email in chosen):
        for email in emails:
            if email.get("primary") and not any(email is other for other in chosen):
                email["primary"] = False


def _new_email(user: dict[str, Any], path: Path, verb: str) -> dict[str, Any]:
    """The address of a type that is not there yet: some clients `replace` it as well."""
    if path.by not in ("", "type", "primary"):
        raise Wrong("noTarget", f"no email has that {path.by[:32]}")
    email: dict[str, Any] = {path.by: path.value == "true" if path.by == "primary" else path.value} if path.by else {}
    user["emails"].append(email)
    return email


def _has(email: Mapping[str, Any], path: Path) -> bool:
    part = named(path.by, EMAIL_PARTS)
    if not part:
        raise Wrong("invalidPath", f"emails have no {path.by[:32]}")
    held = email.get(part, False if part == "primary" else "")
    return str(held).lower() == path.value.lower()


def _merged(emails: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Old and new addresses, each once; a new primary one takes that from the old."""
    fresh = {(email["value"].lower(), email.get("type", "")) for email in new}
    kept = [email for email in emails if (str(email.get("value")).lower(), email.get("type", "")) not in fresh]
    if any(email.get("primary") for email in new):
        kept = [{**email, "primary": False} if email.get("primary") else email for email in kept]
    return [*kept, *new]


def patched_group(operations: Iterable[Operation]) -> GroupChange:
    """What the operations change about a group, all of them together. Raises Wrong."""
    change = GroupChange()
    for verb, path, value in operations:
        if path and path.lower() != GROUP.lower():
            change = _patch_group(change, verb, path, value)
            continue
        for key, item in _object(value).items():
            if key.lower() not in READ_ONLY:  # Okta sends the id along
                change = _patch_group(change, verb, key, item)
    return change


def _patch_group(change: GroupChange, verb: str, written: str, value: Any) -> GroupChange:
    path = path_in(written, GROUP)
    if path is None:
        return change
    if path.attribute.lower() in READ_ONLY:
        raise Wrong("mutability", f"{path.attribute} cannot be changed")
    gone = verb == "remove" or value is None
    match named(path.attribute, ("displayName", "externalId", "members")):
        case "displayName":
            name = "" if gone else text(value, "displayName").strip()
            if not name:
                raise Wrong("mutability", "displayName cannot be removed")
            return replace(change, display_name=name)
        case "externalId":
            return replace(change, external_id="" if gone else text(value, "externalId"))
        case "members":
            return _patch_members(change, verb, path, value)
        case _:
            return change


def _patch_members(change: GroupChange, verb: str, path: Path, value: Any) -> GroupChange:
    if path.by:
        if path.by != "value" or path.sub:
            raise Wrong("invalidPath", "members are chosen by their value")
        one = frozenset({path.value.lower()})
        return _without(change, one) if verb == "remove" else _with(change, one)
    if path.sub:
        raise Wrong("invalidPath", "members are named as a whole")
    if verb == "remove":
        return replace(change, members=frozenset()) if value is None else _without(change, members_in(value))
    some = members_in(value)
    if verb == "replace":
        return replace(change, members=some, add=frozenset(), remove=frozenset())
    return _with(change, some)


def _with(change: GroupChange, some: frozenset[str]) -> GroupChange:
    if change.members is not None:
        return replace(change, members=change.members | some)
    return replace(change, add=change.add | some, remove=change.remove - some)


def _without(change: GroupChange, some: frozenset[str]) -> GroupChange:
    if change.members is not None:
        return replace(change, members=change.members - some)
    return replace(change, add=change.add - some, remove=change.remove | some)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong("invalidValue", "the value is not an object, and there is no path")
    return value
