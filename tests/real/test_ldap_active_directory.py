"""The preset for Active Directory, on an OpenLDAP whose schema has its attributes with their rules.

What only Active Directory knows, the rule that walks nested groups, is tried by its filter alone.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from accounts.directory.entry import Entry
from accounts.directory.groups import groups_of
from accounts.models import Identity, User
from broker.documents.connector_spec import LdapSpec
from broker.services.directory import Result, reread
from tests.real.ldap_world import TESTS, _nothing_remembered, connect, groups, identity, reasons, type_in
from tests.real.slapd import BASE, GROUPS, PEOPLE, Slapd

__all__ = ["_nothing_remembered"]
pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]

TEXT, NUMBER, OCTETS = (f"1.3.6.1.4.1.1466.115.121.1.{number}" for number in (15, 27, 40))
ATTRIBUTES = (
    ("sAMAccountName", "caseIgnoreMatch", TEXT),
    ("userPrincipalName", "caseIgnoreMatch", TEXT),
    ("objectCategory", "caseIgnoreMatch", TEXT),
    ("userAccountControl", "integerMatch", NUMBER),
    ("objectGUID", "octetStringMatch", OCTETS),
)
NAMES = " $ ".join(name for name, _, _ in ATTRIBUTES)
SCHEMA = [
    *(
        f"attributetype ( 1.3.6.1.4.1.4203.666.1.{number} NAME '{name}' EQUALITY {rule} SYNTAX {syntax} SINGLE-VALUE )"
        for number, (name, rule, syntax) in enumerate(ATTRIBUTES, 100)
    ),
    "objectclass ( 1.3.6.1.4.1.4203.666.3.100 NAME 'user' SUP organizationalPerson STRUCTURAL"
    f" MAY ( {NAMES} $ mail $ displayName $ uid ) )",
    "objectclass ( 1.3.6.1.4.1.4203.666.3.101 NAME 'group' STRUCTURAL MUST cn MAY member )",
]
GUIDS = {name: uuid.uuid5(uuid.NAMESPACE_DNS, name) for name in ("alice", "bob")}
NORMAL, DISABLED = 512, 514


def account(name: str) -> str:
    guid = base64.b64encode(GUIDS[name].bytes_le).decode()
    return "\n".join(
        [
            f"dn: {dn(name)}",
            "objectClass: user",
            "objectCategory: person",
            f"cn: {name.capitalize()} Example",
            "sn: Example",
            f"displayName: {name.capitalize()} of the directory",
            f"sAMAccountName: {name}",
            f"userPrincipalName: {name}@corp.example.com",
            f"mail: {name}.example@example.com",
            f"userAccountControl: {NORMAL}",
            f"objectGUID:: {guid}",
            f"userPassword: {name} there",
        ]
    )


def dn(name: str) -> str:
    return f"cn={name.capitalize()} Example,{PEOPLE}"


def team(name: str, *members: str) -> str:
    return "\n".join(
        [f"dn: cn={name},{GROUPS}", "objectClass: group", f"cn: {name}", *(f"member: {m}" for m in members)]
    )


@pytest.fixture(scope="module")
def emulated() -> Iterator[Slapd]:
    entries = [account("alice"), account("bob"), team("DB Admins", dn("alice")), team("ops", dn("bob"))]
    with Slapd(entries=entries, more=SCHEMA, syncprov=False) as server:
        yield server


@pytest.fixture
def corp(emulated: Slapd) -> None:
    connect(
        emulated,
        schema="active-directory",
        user_search={"base": PEOPLE},
        group_search={"base": GROUPS, "nested": False},
        groups=[
            {"claim": "groups", "value": "DB *", "groups": ["db-admins"]},
            {"claim": "groups", "value": "ops", "groups": ["ops"]},
        ],
    )


@pytest.mark.parametrize("typed", ["al*", "alice@corp.example.com.", "Alice Example", "alice@corp", "*", "CORP\\alice"])
def test_other_names_are_nobodys(corp: None, typed: str) -> None:
    assert type_in(typed, "alice there").status == 422
    assert not User.objects.exists()


def test_somebody_whose_account_is_disabled_does_not_come_in(emulated: Slapd, corp: None) -> None:
    change(emulated, "alice", DISABLED)
    try:
        assert type_in("alice", "alice there").status == 422
        assert reasons() == ["disabled-there"]
    finally:
        change(emulated, "alice", NORMAL)


def test_three_names_are_one_account_known_by_its_guid(corp: None) -> None:
    """L18."""
    for typed in ("alice", "ALICE", "Alice@Corp.example.com", "alice.example@example.com", dn("alice")):
        assert type_in(typed, "alice there").to == "/sign-in/enrol", typed
    known = Identity.objects.select_related("user").get()
    assert known.subject == str(GUIDS["alice"])
    assert (known.user.username, known.user.full_name) == ("alice", "Alice of the directory")
    assert groups("alice") == {"db-admins"}


def test_who_is_disabled_there_is_out_and_back_when_enabled(emulated: Slapd, corp: None) -> None:
    type_in("bob", "bob there")
    change(emulated, "bob", DISABLED | 65536)  # and the password never expires
    assert reread(TESTS, identity("bob")) is Result.OUT
    change(emulated, "bob", NORMAL | 65536)
    assert reread(TESTS, identity("bob")) is Result.BACK
    assert groups("bob") == {"ops"}


def change(server: Slapd, name: str, control: int) -> None:
    lines = ["changetype: modify", "replace: userAccountControl", f"userAccountControl: {control}"]
    server.modify(f"dn: {dn(name)}", *lines)


class Recorder:
    """A connection that answers one search and keeps it."""

    def search_s(self, base: str, scope: int, filter: str, attributes: list[str]) -> list[Any]:
        self.asked = (base, filter, attributes)
        return [(f"CN=Ops,{base}", {"cn": [b"Ops"]}), (None, ["ldap://elsewhere.example.com"])]


def test_nested_groups_are_asked_of_the_server_in_one_search() -> None:
    """Not tried on an Active Directory: there is none here."""
    spec = LdapSpec(
        "corp", (), schema="active-directory", group_base=f"OU=Groups,{BASE}", group_filter="(objectClass=group)"
    )
    recorder = Recorder()
    entry = Entry("CN=O'Hara (50%) *,OU=Staff,DC=example", "uuid")
    assert groups_of(spec, recorder, entry) == ("Ops",)
    chain = r"(member:1.2.840.113556.1.4.1941:=CN=O'Hara \2850%\29 \2a,OU=Staff,DC=example)"
    assert recorder.asked == (f"OU=Groups,{BASE}", f"(&(objectClass=group){chain})", ["cn"])
