"""The groups somebody is in: django-auth-ldap's group types, for the attributes and rules directories differ in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ldap
from django_auth_ldap.config import LDAPGroupType, LDAPSearch, NestedMemberDNGroupType
from ldap.dn import str2dn
from ldap.filter import escape_filter_chars

from accounts.directory.connection import Connection
from accounts.directory.entry import Entry
from broker.documents.connector_spec import LdapSpec

IN_CHAIN = "1.2.840.113556.1.4.1941"
"""Active Directory's rule for members of members: the server walks the nesting, in one search."""

MEMBER_ATTRIBUTES = ("member", "uniqueMember")


@dataclass(frozen=True, slots=True)
class Person:
    """What django-auth-ldap's group types want to know of somebody."""

    dn: str
    attrs: dict[str, str]
    connection: Connection


class NamedMembers(NestedMemberDNGroupType):  # type: ignore[misc]
    """`groupOfNames`, `groupOfUniqueNames` and `posixGroup` side by side, groups in groups if `nested`.

    The library's types know one attribute each; directories mix them.
    """

    def __init__(self, name_attr: str, nested: bool) -> None:
        super().__init__(MEMBER_ATTRIBUTES[0], name_attr)
        self._nested = nested

    def user_groups(self, ldap_user: Person, group_search: Any) -> list[Any]:
        """The groups as (DN, attributes)."""
        terms = _posix(ldap_user.attrs) + _named({ldap_user.dn})
        found = dict(self._with_any(terms, group_search, ldap_user.connection))
        asked, todo = {ldap_user.dn.lower()}, set(found)
        while self._nested and todo:
            asked |= todo
            more = dict(self.find_groups_with_any_member(todo, group_search, ldap_user.connection))
            found |= more
            todo = more.keys() - asked
        return list(found.items())

    def find_groups_with_any_member(self, member_dn_set: set[str], group_search: Any, connection: Connection) -> Any:
        """Groups that name any of these DNs as a member."""
        return self._with_any(_named(member_dn_set), group_search, connection)

    @staticmethod
    def _with_any(terms: str, group_search: Any, connection: Connection) -> Any:
        # The library fills its filters with `%`, so one that is meant must be doubled.
        return group_search.search_with_additional_term_string(f"(|{terms})".replace("%", "%%")).execute(connection)


class InChain(LDAPGroupType):  # type: ignore[misc]
    """Active Directory: all groups, nested ones with them, in one search."""

    def user_groups(self, ldap_user: Person, group_search: Any) -> Any:
        """The groups as (DN, attributes)."""
        term = f"(member:{IN_CHAIN}:={escape_filter_chars(ldap_user.dn)})"
        return group_search.search_with_additional_term_string(term.replace("%", "%%")).execute(ldap_user.connection)


def _named(dns: set[str]) -> str:
    return "".join(f"({name}={escape_filter_chars(dn)})" for dn in sorted(dns) for name in MEMBER_ATTRIBUTES)


def _posix(attrs: dict[str, str]) -> str:
    """How `posixGroup` names somebody: as a member by name, or as one whose first group it is."""
    terms = f"(memberUid={escape_filter_chars(attrs['uid'])})" if attrs["uid"] else ""
    if attrs["gidNumber"]:
        terms += f"(&(objectClass=posixGroup)(gidNumber={escape_filter_chars(attrs['gidNumber'])}))"
    return terms


def groups_of(spec: LdapSpec, connection: Connection, entry: Entry) -> tuple[str, ...]:
    """The names of the groups that the entry is in. Raises LDAPError: half a list would be a wrong one."""
    if not spec.group_base:
        return _from_member_of(entry)
    name = spec.group_name_attribute
    search = LDAPSearch(spec.group_base, ldap.SCOPE_SUBTREE, spec.group_filter.replace("%", "%%"), [name])
    kind: Any = NamedMembers(name, spec.nested)
    if spec.nested and spec.schema == "active-directory":
        kind = InChain(name)
    person = Person(entry.dn, {name: entry.first(name) for name in ("uid", "gidNumber")}, connection)
    found = kind.user_groups(person, search)
    return tuple(sorted({text for text in map(kind.group_name_from_info, found) if isinstance(text, str)}))


def _from_member_of(entry: Entry) -> tuple[str, ...]:
    """The first part of each DN in `memberOf`, where groups cannot be searched."""
    dns = next((values for name, values in entry.attributes.items() if name.lower() == "memberof"), ())
    names = set()
    for dn in dns:
        try:
            names.add(str2dn(dn)[0][0][1])
        except (ldap.DECODING_ERROR, IndexError):
            continue
    return tuple(sorted(names))
