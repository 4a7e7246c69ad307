"""An entry's attributes as claims: texts only, in the spelling a mapping asks for them, and nothing secret."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence

from broker.documents.connector_spec import LdapSpec
from broker.policy.claims import ClaimMapping

LONGEST = 1024
"""Characters of a value; what is longer is a picture, a key or a mistake."""

_SECRET = re.compile(r"passw|pwd|secret|privatekey|credential|unixpw|krb.*key", re.IGNORECASE)
_HARMLESS = frozenset({"pwdaccountlockedtime", "pwdchangedtime", "pwdlastset", "badpwdcount"})
_NAMED = re.compile(r"external(?:\.([A-Za-z_][\w-]*)|\[\"([^\"\\]+)\"\])")


def texts(raw: Mapping[str, Sequence[bytes]]) -> dict[str, tuple[str, ...]]:
    """The attributes that are text, without those that hold a secret."""
    found = {}
    for name, values in raw.items():
        if _SECRET.search(name) and name.lower() not in _HARMLESS:
            continue
        kept = tuple(text for text in map(_text, values) if text)
        if kept:
            found[name] = kept
    return found


def _text(value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return text if len(text) <= LONGEST and "\0" not in text else ""


def uuid_of(raw: Mapping[str, Sequence[bytes]], attribute: str) -> str:
    """The UUID in an entry, as text; empty if there is not exactly one."""
    wanted = attribute.lower()
    values = next((values for name, values in raw.items() if name.lower() == wanted), ())
    if len(values) != 1:
        return ""
    if wanted == "objectguid":
        return str(uuid.UUID(bytes_le=values[0])) if len(values[0]) == 16 else ""
    return _text(values[0]).lower()[:255]


def uuid_filter(attribute: str, value: str) -> str:
    """The filter that finds an entry by its UUID again."""
    octets = uuid.UUID(value).bytes_le if attribute.lower() == "objectguid" else value.encode()
    return f"({attribute}={''.join(map(_escaped, octets))})"


def _escaped(octet: int) -> str:
    return f"\\{octet:02x}"


def claims_of(
    spec: LdapSpec, dn: str, attributes: Mapping[str, tuple[str, ...]], groups: Sequence[str]
) -> dict[str, list[str]]:
    """What the mapping is given: the attributes, `dn`, and `groups` by name."""
    ours = {"dn": [dn], "groups": list(groups)}
    claims = {name: list(values) for name, values in attributes.items() if name.lower() not in ours} | ours
    by_lower = {name.lower(): values for name, values in claims.items()}
    for name in _asked_for(spec.mapping):  # attribute names know no case, claims do
        if name not in claims and name.lower() in by_lower:
            claims[name] = by_lower[name.lower()]
    return claims


def _asked_for(mapping: ClaimMapping) -> set[str]:
    templates = [mapping.username, mapping.full_name, mapping.email]
    templates += [text for rule in mapping.groups for text in rule.groups]
    templates += [text for texts_of in mapping.traits.values() for text in texts_of]
    named = {plain or quoted for text in templates for plain, quoted in _NAMED.findall(text)}
    return named | {rule.claim for rule in mapping.groups}
