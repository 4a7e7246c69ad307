"""Filters: attributes compared with `eq`, joined with `and`. Anything else is refused, not guessed at.

RFC 7644, 3.4.2.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from broker.scim.words import GROUP, USER, Wrong, truth, without_schema

LONGEST = 1000
MOST_TERMS = 10
Term = tuple[str, str | bool]

_VALUE = r'"(?:[^"\\]|\\.)*"|true|false|null|-?[0-9][0-9.eE+-]*'
_TERM = re.compile(
    rf'\s*(?P<path>[A-Za-z$](?:[\w.:$-])*(?:\[\s*type\s+eq\s+"(?P<type>\w{{1,32}})"\s*\](?P<sub>\.\w+))?)'
    rf"\s+(?P<op>[A-Za-z]{{2}})\s+(?P<value>{_VALUE})\s*",
    re.IGNORECASE,
)
_AND = re.compile(r"and\s", re.IGNORECASE)
_SUPPORTED = "supported are comparisons with eq, joined with and"

_OF_USERS = {
    "id": "id",
    "username": "userName",
    "externalid": "externalId",
    "active": "active",
    "emails": "emails.value",
    "emails.value": "emails.value",
}
_OF_GROUPS = {
    "id": "id",
    "displayname": "displayName",
    "externalid": "externalId",
    "members": "members",
    "members.value": "members",
}


def user_terms(text: str) -> list[Term]:
    """The terms of a filter of users; none for an empty one. Raises Wrong (`invalidFilter`)."""
    return _terms(text, _OF_USERS, USER)


def group_terms(text: str) -> list[Term]:
    """The terms of a filter of groups; none for an empty one. Raises Wrong (`invalidFilter`)."""
    return _terms(text, _OF_GROUPS, GROUP)


def _terms(text: str, known: Mapping[str, str], schema: str) -> list[Term]:
    if len(text) > LONGEST:
        raise Wrong("invalidFilter", f"the filter is longer than {LONGEST} characters")
    found: list[Term] = []
    at = 0
    while text.strip():
        match = _TERM.match(text, at)
        if match is None or len(found) >= MOST_TERMS:
            raise Wrong("invalidFilter", "this filter cannot be read", _SUPPORTED)
        found.append(_term(match, known, schema))
        if match.end() == len(text):
            break
        joined = _AND.match(text, match.end())
        if joined is None:
            raise Wrong("invalidFilter", "this filter cannot be read", _SUPPORTED)
        at = joined.end()
    return found


def _term(match: re.Match[str], known: Mapping[str, str], schema: str) -> Term:
    path = without_schema(match["path"], schema)
    if match["op"].lower() != "eq":
        raise Wrong("invalidFilter", f"the operator {match['op']} is not supported", _SUPPORTED)
    if match["type"]:
        head = path.partition("[")[0].lower()
        attribute = f"emails.{match['type'].lower()}" if (head, match["sub"].lower()) == ("emails", ".value") else ""
    else:
        attribute = known.get(path.lower(), "")
    if not attribute:
        raise Wrong("invalidFilter", f"cannot filter by {match['path'][:64]}", f"by these: {', '.join(sorted(known))}")
    return attribute, _value(attribute, match["value"])


def _value(attribute: str, written: str) -> str | bool:
    try:
        value = json.loads(written if written.startswith('"') else written.lower())
    except ValueError:
        raise Wrong("invalidFilter", f"the value compared with {attribute} cannot be read") from None
    if attribute == "active":
        try:
            return truth(value, "active")
        except Wrong as wrong:
            raise Wrong("invalidFilter", wrong.message) from None
    if not isinstance(value, str) or "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise Wrong("invalidFilter", f"{attribute} is compared with texts")
    return value
