"""Whom a change in the directory concerns: everybody it could, through groups in groups, and nobody else."""

from __future__ import annotations

import pytest

from accounts.directory.mirror import Group, Mirror


def keys(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.fixture
def mirror() -> Mirror:
    """alice in sre, sre in staff, bob in staff; charlie is in nothing."""
    mirror = Mirror()
    for name in ("alice", "bob", "charlie"):
        mirror.person(f"id-{name}", name, keys(f"cn={name}", f"uid={name}"))
    mirror.group("id-sre", Group("cn=sre", "sre", keys("cn=alice")))
    mirror.group("id-staff", Group("cn=staff", "staff", keys("cn=sre", "cn=bob")))
    return mirror


def test_who_is_removed_is_concerned(mirror: Mirror) -> None:
    assert mirror.group("id-sre", Group("cn=sre", "sre", keys())) == {"alice"}
    assert mirror.group("id-staff", Group("cn=staff", "staff", keys("cn=sre"))) == {"bob"}


def test_who_is_added_is_concerned_and_who_stays_is_not(mirror: Mirror) -> None:
    assert mirror.group("id-sre", Group("cn=sre", "sre", keys("cn=alice", "cn=charlie"))) == {"charlie"}


def test_a_group_taken_out_of_a_group_concerns_its_people(mirror: Mirror) -> None:
    assert mirror.group("id-staff", Group("cn=staff", "staff", keys("cn=bob"))) == {"alice"}


def test_without_nesting_it_concerns_nobody(mirror: Mirror) -> None:
    mirror.nested = False
    assert mirror.group("id-staff", Group("cn=staff", "staff", keys("cn=bob"))) == set()


def test_a_deleted_group_concerns_all_who_were_in_it(mirror: Mirror) -> None:
    assert mirror.group_gone("id-staff") == {"alice", "bob"}
    assert mirror.group_gone("id-staff") == set()


@pytest.mark.parametrize(
    "renamed", [Group("cn=sre", "ops", keys("cn=alice")), Group("cn=ops", "sre", keys("cn=alice"))]
)
def test_a_renamed_group_concerns_all_who_are_in_it(mirror: Mirror, renamed: Group) -> None:
    assert mirror.group("id-sre", renamed) == {"alice"}


def test_nothing_that_matters_concerns_nobody(mirror: Mirror) -> None:
    assert mirror.group("id-sre", Group("cn=sre", "sre", keys("cn=alice"))) == set()


def test_groups_in_a_circle_end(mirror: Mirror) -> None:
    assert mirror.group("id-sre", Group("cn=sre", "sre", keys("cn=alice", "cn=staff"))) == {"alice", "bob"}
    assert mirror.group_gone("id-staff") == {"alice", "bob"}


def test_somebody_is_concerned_by_their_own_entry(mirror: Mirror) -> None:
    assert mirror.person("id-bob", "bob", keys("cn=robert")) == {"bob"}
    assert mirror.person_gone("id-bob") == {"bob"}
    assert mirror.person_gone("id-nobody") == set()


def test_a_renamed_person_is_found_under_the_new_name_only(mirror: Mirror) -> None:
    mirror.person("id-bob", "bob", keys("cn=robert"))
    assert mirror.group("new", Group("cn=new", "new", keys("cn=bob"))) == set()
    assert mirror.group("new", Group("cn=new", "new", keys("cn=bob", "cn=robert"))) == {"bob"}


def test_another_person_under_the_same_name_is_told_apart(mirror: Mirror) -> None:
    mirror.person("id-other", "other-bob", keys("cn=bob"))
    assert mirror.person_gone("id-bob") == {"bob"}
    assert mirror.group_gone("id-staff") == {"alice", "other-bob"}


def test_members_of_posix_groups_are_found_by_name(mirror: Mirror) -> None:
    assert mirror.group("posix", Group("cn=posix", "posix", keys("uid=charlie"))) == {"charlie"}


def test_what_is_told_anew_replaces_what_was_told(mirror: Mirror) -> None:
    mirror.forget_people()
    mirror.forget_groups()
    assert mirror.group_gone("id-sre") == set()
    assert mirror.person_gone("id-alice") == set()
    mirror.person("id-alice", "alice", keys("cn=alice"))
    assert mirror.group("id-sre", Group("cn=sre", "sre", keys("cn=alice"))) == {"alice"}
