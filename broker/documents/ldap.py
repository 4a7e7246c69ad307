"""The kind `ldap`: a directory, OpenLDAP or Active Directory, whose people sign in with their password there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args
from urllib.parse import urlsplit

from broker.documents import words
from broker.documents.connector_spec import DirectorySchema, Follow, LdapSpec
from broker.documents.duration import duration_text, parse_duration
from broker.documents.ldap_filter import filter_with_hole, plain_filter, plain_filter_or_empty
from broker.documents.mapping import creation_document, mapping_document, read_creation, read_mapping
from broker.documents.oidc import is_this_machine
from broker.documents.secret import read_secret
from broker.documents.section import Section, described
from broker.policy.claims import ClaimMapping

SCHEMAS: tuple[DirectorySchema, ...] = get_args(DirectorySchema)
FOLLOWS: tuple[Follow, ...] = get_args(Follow)
TIMEOUT = 5.0
MAX_TIMEOUT = 60.0
MAX_URLS = 10
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}")
_DN = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+) *= *[^\0]+")


@dataclass(frozen=True, slots=True)
class Preset:
    """What a directory is like unless its document says otherwise."""

    user_filter: str
    id_attribute: str
    name_attribute: str
    disabled_filter: str
    group_filter: str
    full_name: str

    @property
    def mapping(self) -> ClaimMapping:
        return ClaimMapping(
            f"{{{{external.{self.name_attribute}}}}}", f"{{{{external.{self.full_name}}}}}", "{{external.mail}}"
        )


PRESETS: Mapping[DirectorySchema, Preset] = {
    "openldap": Preset(
        user_filter="(&(objectClass=inetOrgPerson)(|(uid={name})(mail={name})))",
        id_attribute="entryUUID",
        name_attribute="uid",
        # Locked by an administrator (the ppolicy draft, 5.3.3); what wrong guesses lock must not cut what is open.
        disabled_filter="(pwdAccountLockedTime=000001010000Z)",
        group_filter="(objectClass=groupOfNames)",
        full_name="cn",
    ),
    "active-directory": Preset(
        user_filter=(
            "(&(objectCategory=person)(objectClass=user)"
            "(|(sAMAccountName={name})(userPrincipalName={name})(mail={name})))"
        ),
        id_attribute="objectGUID",
        name_attribute="sAMAccountName",
        # Bit 2 of userAccountControl, by the matching rule LDAP_MATCHING_RULE_BIT_AND.
        disabled_filter="(userAccountControl:1.2.840.113556.1.4.803:=2)",
        group_filter="(objectClass=group)",
        full_name="displayName",
    ),
}


def read_ldap(document: Section, name: str, description: str) -> LdapSpec:
    """The directory that a document says; problems are noted in its sections."""
    spec = document.section("spec")
    schema = cast(DirectorySchema, spec.text("schema", _one_of(SCHEMAS), default=SCHEMAS[0]))
    preset = PRESETS[schema]
    users, groups = spec.section("user_search"), spec.section("group_search")
    name_attribute = users.text("name_attribute", _attribute, default=preset.name_attribute)
    read = LdapSpec(
        name,
        urls=_read_urls(spec),
        bind_dn=spec.text("bind_dn", _dn),
        bind_password=read_secret(spec, "bind_password"),
        display=spec.text("display", words.label_value),
        description=description,
        enabled=spec.flag("enabled") is not False,
        schema=schema,
        start_tls=bool(spec.flag("start_tls")),
        ca=spec.text("ca", words.pem, longest=words.MAX_PEM),
        user_base=users.text("base", _dn, required=True),
        user_filter=users.text("filter", filter_with_hole, default=preset.user_filter),
        uuid_attribute=users.text("id_attribute", _attribute, default=preset.id_attribute),
        username_attribute=name_attribute,
        disabled_filter=users.text("disabled_filter", plain_filter_or_empty, default=preset.disabled_filter),
        group_base=groups.text("base", _dn),
        group_filter=groups.text("filter", plain_filter, default=preset.group_filter),
        group_name_attribute=groups.text("name_attribute", _attribute, default="cn"),
        nested=groups.flag("nested") is not False,
        mapping=read_mapping(spec, _mapping_defaults(schema, name_attribute)),
        creation=read_creation(spec),
        follow=cast(Follow, spec.text("follow", _one_of(FOLLOWS), default=FOLLOWS[0])),
        timeout=_read_timeout(spec),
    )
    _check(spec, read)
    for section in (users, groups, spec):
        section.finish()
    return read


def _mapping_defaults(schema: DirectorySchema, name_attribute: str) -> ClaimMapping:
    preset = PRESETS[schema].mapping
    return ClaimMapping(f"{{{{external.{name_attribute}}}}}", preset.full_name, preset.email)


def _read_urls(spec: Section) -> tuple[str, ...]:
    urls = spec.texts("urls", _url)
    if "urls" not in spec:
        spec.problem("urls", "is missing", "such as ldaps://ldap.example.com")
    elif spec.is_empty("urls"):
        spec.problem("urls", "names no server")
    if len(urls) > MAX_URLS:
        spec.problem("urls", f"names more than {MAX_URLS} servers")
    return urls


def _read_timeout(spec: Section) -> float:
    value = spec.take("timeout")
    if value is None:
        return TIMEOUT
    try:
        seconds = parse_duration(value) if isinstance(value, str) else 0.0
    except ValueError as error:
        spec.problem("timeout", str(error))
        return TIMEOUT
    if not isinstance(value, str):
        spec.problem("timeout", f"must be a duration such as 5s, not {described(value)}")
    elif seconds > MAX_TIMEOUT:
        spec.problem("timeout", f"must be at most {MAX_TIMEOUT:.0f}s", "people wait for it")
    return seconds or TIMEOUT


def _check(spec: Section, read: LdapSpec) -> None:
    """What keys say together: nothing secret in clear over a network, no password without a name to it."""
    plain = [url for url in read.urls if url.startswith("ldap://")]
    far = [url for url in plain if not is_this_machine(urlsplit(url).hostname or "")]
    if far and not read.start_tls:
        spec.problem("urls", f"{far[0]} would carry passwords in clear", "write ldaps://…, or set start_tls: true")
    if read.start_tls and read.urls and not plain:
        spec.problem("start_tls", "means nothing with ldaps://, which is TLS from the start", "remove it")
    if read.bind_dn and not read.bind_password:
        spec.problem("bind_password", "is missing", "a name without a password is let in as nobody by many servers")
    if read.bind_password and not read.bind_dn:
        spec.problem("bind_dn", "is missing", "bind_password is that name's")


def ldap_spec_document(ldap: LdapSpec) -> dict[str, Any]:
    """The `spec` of a directory as plain values, leaving out what is as it is anyway."""
    preset = PRESETS[ldap.schema]
    document: dict[str, Any] = {
        "urls": list(ldap.urls),
        "bind_dn": ldap.bind_dn,
        "bind_password": ldap.bind_password,
        "display": ldap.display,
        "schema": "" if ldap.schema == SCHEMAS[0] else ldap.schema,
        "start_tls": ldap.start_tls,
        "ca": ldap.ca,
        "user_search": {"base": ldap.user_base, **_users_beyond(ldap, preset)},
        "group_search": _groups_beyond(ldap, preset),
        "follow": "" if ldap.follow == FOLLOWS[0] else ldap.follow,
        "timeout": "" if ldap.timeout == TIMEOUT else duration_text(ldap.timeout),
    }
    kept = {key: value for key, value in document.items() if value}
    mapping = mapping_document(ldap.mapping, _mapping_defaults(ldap.schema, ldap.username_attribute))
    return {**kept, **({} if ldap.enabled else {"enabled": False}), **mapping, **creation_document(ldap.creation)}


def _users_beyond(ldap: LdapSpec, preset: Preset) -> dict[str, str]:
    pairs = {
        "filter": (ldap.user_filter, preset.user_filter),
        "id_attribute": (ldap.uuid_attribute, preset.id_attribute),
        "name_attribute": (ldap.username_attribute, preset.name_attribute),
        "disabled_filter": (ldap.disabled_filter, preset.disabled_filter),
    }
    return {key: value for key, (value, usual) in pairs.items() if value != usual}


def _groups_beyond(ldap: LdapSpec, preset: Preset) -> dict[str, Any]:
    pairs: dict[str, tuple[Any, Any]] = {
        "base": (ldap.group_base, ""),
        "filter": (ldap.group_filter, preset.group_filter),
        "name_attribute": (ldap.group_name_attribute, "cn"),
        "nested": (ldap.nested, True),
    }
    return {key: value for key, (value, usual) in pairs.items() if value != usual}


def _one_of(words_: tuple[str, ...]) -> Any:
    return lambda text: "" if text in words_ else "must be one of " + ", ".join(words_)


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"is not an address: {error}"
    if parts.scheme not in ("ldap", "ldaps") or not text.startswith(("ldap://", "ldaps://")):
        return "must begin with ldaps:// or ldap://"
    if parts.path not in ("", "/") or "@" in parts.netloc or "?" in text or "#" in text:
        return "must be ldaps://HOST or ldaps://HOST:PORT and nothing else; what to search goes to user_search"
    if port == 0 or parts.netloc.endswith(":"):
        return "has no such port"
    return words.host_or_address(host)


def _dn(text: str) -> str:
    if not text.isprintable():
        return "holds control characters"
    if all(_DN.fullmatch(part.strip()) for part in re.split(r"(?<!\\),", text)) and len(text) <= 1000:
        return ""
    return f"is not a distinguished name such as ou=people,dc=example,dc=com: {text[:80]!r}"


def _attribute(text: str) -> str:
    return "" if _ATTRIBUTE.fullmatch(text) else f"is not the name of an attribute: {text[:80]!r}"
