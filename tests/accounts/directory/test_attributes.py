"""What of an entry becomes claims: no secret, no picture; and how entries are known for ever."""

from __future__ import annotations

import uuid

import pytest

from accounts.directory.attributes import claims_of, texts, uuid_filter, uuid_of
from broker.documents.connector_spec import LdapSpec
from broker.policy.claims import ClaimMapping, GroupRule

GUID = uuid.UUID("8bc35d0a-7c0e-4f29-9d2a-0c7a5f1f2b3c")


SECRET = (
    *("userPassword", "userPassword;x-hashed", "unicodePwd", "ntPwdHistory", "pwdHistory", "sambaNTPassword"),
    *("msDS-ManagedPassword", "ms-Mcs-AdmPwd", "krbPrincipalKey", "krbExtraPrivateKey", "clearSecret"),
)


@pytest.mark.parametrize("name", SECRET)
def test_nothing_secret_becomes_a_claim(name: str) -> None:
    assert texts({name: [b"{SSHA}hidden"], "cn": [b"Alice"]}) == {"cn": ("Alice",)}


def test_pictures_and_long_values_are_left_out() -> None:
    raw = {"jpegPhoto": [b"\xff\xd8\xff"], "objectSid": [b"\x01\x05\0\0\xff"], "info": [b"x" * 1025], "cn": [b"A", b""]}
    assert texts(raw) == {"cn": ("A",)}


def test_active_directorys_uuid_is_read_in_its_own_order_of_bytes() -> None:
    assert uuid_of({"objectGUID": [GUID.bytes_le]}, "objectguid") == str(GUID)
    wanted = "(objectGUID=" + "".join(f"\\{octet:02x}" for octet in GUID.bytes_le) + ")"
    assert uuid_filter("objectGUID", str(GUID)) == wanted


def test_other_uuids_are_text_in_one_spelling() -> None:
    assert uuid_of({"entryUUID": [str(GUID).upper().encode()]}, "entryUUID") == str(GUID)
    assert uuid_filter("entryUUID", "a)(b") == "(entryUUID=\\61\\29\\28\\62)"


@pytest.mark.parametrize("raw", [{}, {"entryUUID": []}, {"entryUUID": [b"a", b"b"]}, {"entryUUID": [b"\xff"]}])
def test_an_entry_without_one_uuid_has_none(raw: dict[str, list[bytes]]) -> None:
    assert uuid_of(raw, "entryUUID") == ""


def test_a_broken_guid_is_none() -> None:
    assert uuid_of({"objectGUID": [b"short"]}, "objectGUID") == ""


def test_attributes_are_found_in_the_spelling_of_the_mapping() -> None:
    """Directories tell `sAMAccountName`; claims are told apart by case, attributes are not."""
    mapping = ClaimMapping(
        username="{{external.samaccountname}}",
        groups=(GroupRule("MEMBEROF", groups=("x",)),),
        traits={"team": ('{{external["DEPARTMENT"]}}',)},
    )
    spec = LdapSpec("corp", (), mapping=mapping)
    attributes = {"sAMAccountName": ("alice",), "memberOf": ("cn=a",), "department": ("db",)}
    claims = claims_of(spec, "cn=alice", attributes, ["sre"])
    assert (claims["samaccountname"], claims["MEMBEROF"], claims["DEPARTMENT"]) == (["alice"], ["cn=a"], ["db"])
    assert (claims["groups"], claims["dn"]) == (["sre"], ["cn=alice"])


def test_an_attribute_called_groups_or_dn_is_not_believed() -> None:
    """The names that mean what the search found cannot be set by whoever may write an attribute."""
    claims = claims_of(LdapSpec("corp", ()), "cn=alice", {"Groups": ("admins",), "dn": ("cn=root",)}, ["sre"])
    assert (claims["groups"], claims["dn"]) == (["sre"], ["cn=alice"])
