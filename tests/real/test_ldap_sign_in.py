"""Signing in with a directory's password: what must not get in, and what must, against a real OpenLDAP."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from django.contrib.auth import hashers

from accounts.authenticators import password, totp
from accounts.directory.connection import bound
from accounts.models import Connector, Identity, LoginSession, SignIn, TotpDevice, User
from accounts.services.users import create_user, disable_user
from broker.models import AuditEvent
from tests.conftest import TESTS, Clock, Person, new_client
from tests.real.ldap_world import NAME, _nothing_remembered, connect, groups, identity, reasons, slapd, type_in, user
from tests.real.slapd import PEOPLE, Slapd, group, password_of, person

__all__ = ["_nothing_remembered", "slapd"]
pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]

ENROL, SECOND = "/sign-in/enrol", "/sign-in/second-factor"
WRONG = "name or password is wrong"


@pytest.fixture
def corp(slapd: Slapd) -> Connector:
    return connect(slapd)


# --- what must not get in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["", " ", "\0", "\t"])
def test_an_empty_password_is_refused_before_any_bind(slapd: Slapd, corp: Connector, typed: str) -> None:
    """L19: to many servers a name without a password is a bind as nobody, which succeeds."""
    before = slapd.binds_of("alice")
    assert type_in("alice", typed).status == 422
    from accounts.directory.known import directory_of

    entry = directory_of(corp).find("alice")
    assert entry is not None
    assert not directory_of(corp).accepts(entry, "")
    if typed in ("", "\0"):
        assert slapd.binds_of("alice") == before
    assert not User.objects.exists()


NOBODYS = (
    *("", "=", "*", "al*", "a*e", "alice*", ")(uid=*", "alice)(|(uid=*", "*)(objectClass=*", "\\2a", "\\61lice"),
    *("alice\0", "\0", "x" * 10_240, "al\u0131ce", "uid=alice", f"uid=*,{PEOPLE}", PEOPLE, "dc=example,dc=com"),
    *("cn=reader,dc=example,dc=com", "uid=alice,ou=people,dc=evil,dc=com", f"nosuch=alice,{PEOPLE}"),
    *("alice@example.com@evil", "alice@example.com\0", "alice@example.com.", "\ufeffalice"),
)


@pytest.mark.parametrize("typed", NOBODYS)
def test_names_that_mean_more_than_one_are_nobodys(slapd: Slapd, corp: Connector, typed: str) -> None:
    """L16, L18: filters are escaped, DNs count below the base only, and nothing ends in a 500."""
    answer = type_in(typed, password_of("alice"))
    assert answer.status in (422, 429)
    assert not User.objects.exists()
    assert not SignIn.objects.exists()
    corp.refresh_from_db()
    assert corp.problem == "", "no typed name makes the directory look broken"


def test_a_wrong_password_sounds_like_an_unknown_name(slapd: Slapd, corp: Connector, alice: Person) -> None:
    """L01; `alice` is local here, `bob` the directory's, `nobod` nobody's."""
    pages = {name: type_in(name, "wrong and long enough") for name in ("alice", "bob", "nobod")}
    assert {page.status for page in pages.values()} == {422}
    assert len({page.words for page in pages.values()}) == 1
    assert WRONG in pages["bob"].body
    assert reasons() == ["wrong-password"]


def test_a_typed_password_goes_to_no_directory_that_does_not_keep_the_person(
    slapd: Slapd, corp: Connector, alice: Person
) -> None:
    """Local alice's password stays here, though the directory has an alice too; so does an unknown name's."""
    sent: list[str] = []

    def heard(spec: object, dn: str, typed: str, *rest: object) -> object:
        sent.append(typed)
        return bound(spec, dn, typed, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accounts.directory.directory.bound", heard)
        assert type_in("alice", alice.password).to == SECOND
        assert type_in("nobody", "a secret of nobody").status == 422
        assert type_in("bob", "typed for bob").status == 422
    assert alice.password not in sent
    assert "a secret of nobody" not in sent
    assert "typed for bob" in sent


def test_a_local_user_is_checked_here_and_nowhere_else(slapd: Slapd, corp: Connector, alice: Person) -> None:
    """Who knows the password of the directory's alice is not Postern's alice."""
    assert type_in("alice", password_of("alice")).status == 422
    assert type_in("alice@example.com", password_of("alice")).status == 422, "and not by the back door"
    assert "name-taken" in reasons()
    assert not Identity.objects.exists()


def test_one_hash_is_compared_for_every_name(slapd: Slapd, corp: Connector, alice: Person) -> None:
    computed: list[str] = []

    def counted(typed: str, encoded: str) -> tuple[bool, bool]:
        computed.append(encoded)
        return hashers.verify_password(typed, encoded)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(password, "verify_password", counted)
        for name in ("alice", "bob", "nobody"):
            type_in(name, "wrong and long enough")
    assert len(computed) == 3


def test_who_may_not_be_made_here_hears_the_same(slapd: Slapd) -> None:
    connect(slapd, create_users=False)
    unlinked = type_in("bob", password_of("bob"))
    connect(slapd, create_users={"groups": ["sre"]})
    others = type_in("bob", password_of("bob"))
    wrong = type_in("bob", "wrong and long enough")
    assert unlinked.words == others.words == wrong.words
    assert reasons() == ["not-linked", "not-among-created", "wrong-password"]
    assert type_in("alice", password_of("alice")).to == ENROL, "she is in sre"


def test_somebody_disabled_there_is_refused_like_a_wrong_password(slapd: Slapd, corp: Connector) -> None:
    """S10."""
    slapd.lock("bob")
    try:
        locked = type_in("bob", password_of("bob"))
    finally:
        slapd.unlock("bob")
    assert locked.words == type_in("nobody", "wrong and long enough").words
    assert reasons() == ["disabled-there"]
    assert not User.objects.exists()
    assert type_in("bob", password_of("bob")).to == ENROL


def test_an_attribute_can_say_who_is_disabled(slapd: Slapd) -> None:
    connect(slapd, user_search={"base": PEOPLE, "disabled_filter": "(employeeType=left)"})
    slapd.modify(f"dn: uid=charlie,{PEOPLE}", "changetype: modify", "add: employeeType", "employeeType: left")
    try:
        assert type_in("charlie", password_of("charlie")).status == 422
    finally:
        slapd.modify(f"dn: uid=charlie,{PEOPLE}", "changetype: modify", "delete: employeeType")
    assert reasons() == ["disabled-there"]


def test_somebody_disabled_here_is_refused_though_the_directory_likes_them(slapd: Slapd, corp: Connector) -> None:
    """S10."""
    assert type_in("bob", password_of("bob")).to == ENROL
    disable_user(TESTS, user("bob"))
    assert type_in("bob", password_of("bob")).status == 422
    assert reasons() == ["user-disabled"]


def test_a_name_that_two_entries_go_by_is_nobodys(slapd: Slapd, corp: Connector) -> None:
    slapd.add(person("twin-one", "mail: twin@example.com"), person("twin-two", "mail: twin@example.com"))
    try:
        assert type_in("twin@example.com", password_of("twin-one")).status == 422
        assert reasons() == ["ambiguous-name"]
        assert type_in("twin-one", password_of("twin-one")).to == ENROL
    finally:
        slapd.delete(f"uid=twin-one,{PEOPLE}")
        slapd.delete(f"uid=twin-two,{PEOPLE}")


def test_somebody_whom_two_directories_know_comes_in_by_the_one_they_came_from(slapd: Slapd, corp: Connector) -> None:
    assert type_in("bob", password_of("bob")).to == ENROL
    connect(slapd, "another")
    assert type_in("charlie", password_of("charlie")).status == 422, "both have a charlie: who is meant?"
    assert set(reasons()) == {"ambiguous-name"}
    assert type_in("bob", password_of("bob")).to == ENROL
    assert Identity.objects.get().issuer == f"ldap:{NAME}"


# --- one account, one counter -----------------------------------------------------------------------------------------

SPELLINGS = [
    "bob",
    " Bob",
    "BOB",
    "bob ",
    "bob@example.com",
    "BOB@Example.COM",
    f"uid=bob,{PEOPLE}",
    f"UID=Bob, {PEOPLE}",
]


def test_every_spelling_is_one_account_with_one_second_factor(slapd: Slapd, corp: Connector) -> None:
    """L18."""
    assert type_in("bob", password_of("bob")).to == ENROL
    device = totp.new_device(user("bob"))
    TotpDevice.objects.filter(pk=device.pk).update(confirmed=True)
    for name in [*SPELLINGS, "\uff42ob"]:
        assert type_in(name, password_of("bob")).to == SECOND, name
    assert [row.username for row in User.objects.all()] == ["bob"]
    assert Identity.objects.count() == 1


@pytest.mark.parametrize("known", [False, True])
def test_every_spelling_pays_into_one_counter(slapd: Slapd, corp: Connector, clock: Clock, known: bool) -> None:
    """L18, L22: before somebody's first sign-in too."""
    if known:
        assert type_in("bob", password_of("bob")).to == ENROL
    for name in SPELLINGS[:5]:
        assert type_in(name, "wrong and long enough").status == 422, name
    before = slapd.binds_of("bob")
    for name in SPELLINGS:
        assert type_in(name, password_of("bob")).status == 429, name
    assert slapd.binds_of("bob") == before, "what is throttled is not tried"
    clock.advance(301)
    assert type_in(SPELLINGS[-1], password_of("bob")).to == ENROL


def test_the_second_factor_is_ours_and_enrolled_at_the_first_sign_in(slapd: Slapd, corp: Connector) -> None:
    came = type_in("alice", password_of("alice"))
    assert came.to == ENROL
    assert came.browser.get("/account").status_code == 302, "not in yet"
    page = came.browser.get(ENROL).content.decode()
    assert "secret" in page or "otpauth" in page
    device = TotpDevice.objects.get(user=user("alice"))
    came.browser.post(ENROL, {"code": Person(user("alice"), "", device).code()})
    came.browser.post("/sign-in/recovery-codes", {"saved": "1"})
    session = LoginSession.objects.get()
    assert (session.via, sorted(session.amr)) == (f"ldap:{NAME}", ["mfa", "otp", "pwd"])
    assert came.browser.get("/account").status_code == 200


def test_who_has_a_second_factor_cannot_enrol_another_instead(slapd: Slapd, corp: Connector) -> None:
    """S02: the directory's password alone opens nothing."""
    type_in("bob", password_of("bob"))
    device = totp.new_device(user("bob"))
    TotpDevice.objects.filter(pk=device.pk).update(confirmed=True)
    came = type_in("bob", password_of("bob"))
    assert came.browser.get(ENROL).headers["Location"].startswith(SECOND)
    assert came.browser.post(ENROL, {"code": "000000"}).status_code == 302
    assert not LoginSession.objects.exists()


# --- who they are here ------------------------------------------------------------------------------------------------


def test_groups_nested_ones_too_and_attributes_are_mapped(slapd: Slapd, corp: Connector) -> None:
    type_in("alice", password_of("alice"))
    alice = user("alice")
    assert groups("alice") == {"sre", "staff"}
    assert (alice.full_name, alice.email) == ("Alice Example", "alice@example.com")
    known = identity("alice")
    assert known.traits == {"mail": ["alice@example.com"]}
    assert known.claims["memberOf"] == ["cn=sre,ou=groups,dc=example,dc=com"]
    assert known.claims["dn"] == [f"uid=alice,{PEOPLE}"]
    assert not [name for name in known.claims if "assword" in name]
    assert "{SSHA}" not in str(known.claims)
    assert re.fullmatch(r"[0-9a-f-]{36}", known.subject)


def test_without_nesting_only_the_groups_that_name_somebody_count(slapd: Slapd) -> None:
    connect(slapd, group_search={"base": "ou=groups,dc=example,dc=com", "nested": False})
    type_in("alice", password_of("alice"))
    assert groups("alice") == {"sre"}


def test_without_a_group_search_memberof_counts(slapd: Slapd) -> None:
    connect(slapd, group_search={})
    type_in("alice", password_of("alice"))
    assert groups("alice") == {"sre"}


def test_memberof_can_be_mapped_by_its_dn(slapd: Slapd) -> None:
    rule = {"claim": "memberof", "value": "cn=sre,ou=groups,*", "groups": ["engineers"]}
    connect(slapd, groups=[rule])
    type_in("alice", password_of("alice"))
    type_in("bob", password_of("bob"))
    assert (groups("alice"), groups("bob")) == ({"engineers"}, set())


def test_groups_in_a_circle_and_groups_of_other_kinds_are_found(slapd: Slapd) -> None:
    posix = f"dn: cn=posix,{PEOPLE.replace('people', 'groups')}\nobjectClass: posixGroup\ncn: posix\ngidNumber: 4711"
    at = "ou=groups,dc=example,dc=com"
    unique = f"dn: cn=unique,{at}\nobjectClass: groupOfUniqueNames\ncn: unique\nuniqueMember: uid=charlie,{PEOPLE}"
    slapd.add(group("round", "charlie"), group("about", f"cn=round,{at}"), f"{posix}\nmemberUid: charlie", unique)
    slapd.join_group("round", f"cn=about,{at}")
    try:
        connect(slapd, group_search={"base": at, "filter": "(objectClass=*)"})
        type_in("charlie", password_of("charlie"))
        assert groups("charlie") == {"round", "about", "posix", "unique"}
    finally:
        for name in ("about", "round", "posix", "unique"):
            slapd.delete(f"cn={name},{at}")


def test_names_and_groups_with_special_characters_do_no_harm(slapd: Slapd, corp: Connector) -> None:
    """L16: the DN goes into filters of the group search."""
    odd = f"cn=O'Hara (50%) * \\+ \u00e9,{PEOPLE}"
    lines = person("ohara").replace(f"dn: uid=ohara,{PEOPLE}", f"dn: {odd}").replace("cn: Ohara Example\n", "")
    slapd.add(f"{lines}\ncn: O'Hara (50%) * + \u00e9", group("fifty", odd))
    try:
        assert type_in("ohara", password_of("ohara")).to == ENROL
        assert groups("ohara") == {"fifty"}
    finally:
        slapd.delete("cn=fifty,ou=groups,dc=example,dc=com")
        slapd.delete(odd)


def test_somebody_renamed_there_stays_who_they_are(slapd: Slapd, corp: Connector) -> None:
    """L15: identity is the entry's UUID."""
    type_in("charlie", password_of("charlie"))
    rename = ["changetype: modrdn", "deleteoldrdn: 1"]
    slapd.modify(f"dn: uid=charlie,{PEOPLE}", rename[0], "newrdn: uid=charles", rename[1])
    try:
        assert type_in("charles", password_of("charlie")).to == ENROL
        assert type_in("charlie", password_of("charlie")).to == ENROL, "the name here is theirs still"
        assert [row.username for row in User.objects.all()] == ["charlie"]
    finally:
        slapd.modify(f"dn: uid=charles,{PEOPLE}", rename[0], "newrdn: uid=charlie", rename[1])


def test_another_person_under_a_name_that_was_somebodys_is_not_them(slapd: Slapd, corp: Connector) -> None:
    """L15: deleted and made anew, the entry has another UUID."""
    slapd.add(person("dora"))
    type_in("dora", password_of("dora"))
    slapd.delete(f"uid=dora,{PEOPLE}")
    slapd.add(person("dora"))
    try:
        assert type_in("dora", password_of("dora")).status == 422
        assert reasons() == ["gone-there"]
    finally:
        slapd.delete(f"uid=dora,{PEOPLE}")


# --- a directory that is down -----------------------------------------------------------------------------------------


@pytest.fixture
def own() -> Iterator[Slapd]:
    """A directory that this test may end."""
    with Slapd() as server:
        yield server


@pytest.mark.parametrize("how", ["killed", "hangs", "nowhere"])
def test_with_the_directory_down_local_people_come_in_and_nobody_else(own: Slapd, alice: Person, how: str) -> None:
    """L28: break-glass accounts at once, the directory's people not at all, and the connector says so."""
    corp = connect(own, timeout="1s")
    type_in("bob", password_of("bob"))
    if how == "hangs":
        own.pause()
    else:
        own.stop(9)
    try:
        refused = type_in("bob", password_of("bob"))
        assert refused.status == 422
        assert "does not answer" in refused.body
        began = time.monotonic()
        assert type_in("alice", alice.password).to == SECOND
        assert time.monotonic() - began < 2.5
        assert type_in("nobody", "x").words == type_in("alice", "x").words, "the outage tells nobody's name apart"
        corp.refresh_from_db()
        assert corp.problem
        assert AuditEvent.objects.filter(name="connector.failed").count() == 1
        assert "directory-down" in reasons()
    finally:
        if how == "hangs":
            own.resume()
        else:
            own.go_on()


def test_a_directory_that_comes_back_is_asked_again(own: Slapd, monkeypatch: pytest.MonkeyPatch) -> None:
    from accounts.directory import directory

    monkeypatch.setattr(directory, "REST", 0.2)
    corp = connect(own)
    type_in("bob", password_of("bob"))
    own.stop()
    assert type_in("bob", password_of("bob")).status == 422
    own.go_on()
    time.sleep(0.25)
    assert type_in("bob", password_of("bob")).to == ENROL
    corp.refresh_from_db()
    assert corp.problem == ""
    assert AuditEvent.objects.filter(name="connector.recovered").count() == 1


def test_a_restarted_directory_is_met_over_new_connections(own: Slapd) -> None:
    connect(own)
    type_in("bob", password_of("bob"))
    own.stop()
    own.go_on()
    assert type_in("bob", password_of("bob")).to == ENROL, "what was kept open is not mistaken for an outage"


def test_a_bind_account_that_is_refused_lets_nobody_in(slapd: Slapd) -> None:
    corp = connect(slapd, bind_password="not the password")
    assert type_in("bob", password_of("bob")).status == 422
    corp.refresh_from_db()
    assert "refuses cn=reader" in corp.problem
    assert "not the password" not in corp.problem


def test_a_base_that_is_not_there_is_a_problem_and_not_an_empty_directory(slapd: Slapd) -> None:
    corp = connect(slapd, user_search={"base": "ou=nowhere,dc=example,dc=com"})
    assert type_in("bob", password_of("bob")).status == 422
    corp.refresh_from_db()
    assert "is not there" in corp.problem


def test_without_the_library_directories_are_refused_with_the_line_that_installs_it(
    slapd: Slapd, corp: Connector, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation without the extra goes on for everybody else."""
    import sys

    from accounts.directory import extra
    from broker.errors import Unavailable

    for name in ("ldap", "django_auth_ldap"):
        monkeypatch.setitem(sys.modules, name, None)
    assert not extra.available()
    with pytest.raises(Unavailable) as told:
        connect(slapd, "second")
    assert "uv sync --extra ldap" in told.value.hint
    assert "apt install gcc libldap-dev libsasl2-dev python3-dev" in told.value.hint
    assert not Connector.objects.filter(name="second").exists()
    assert type_in("bob", password_of("bob")).status == 422
    corp.refresh_from_db()
    assert "not installed" in corp.problem
    assert type_in("alice", alice.password).to == SECOND
    connect(slapd, "third", enabled=False)
    assert Connector.objects.filter(name="third", enabled=False).exists()


def test_a_connector_that_is_switched_off_lets_nobody_in(slapd: Slapd, corp: Connector) -> None:
    type_in("bob", password_of("bob"))
    connect(slapd, enabled=False)
    before = slapd.binds_of("bob")
    assert type_in("bob", password_of("bob")).status == 422
    assert slapd.binds_of("bob") == before


def test_who_was_provisioned_without_an_account_there_is_not_sent_there(slapd: Slapd, corp: Connector) -> None:
    """Names link nothing: a user made here by hand is not the directory's entry of that name."""
    create_user(TESTS, "bob")
    before = slapd.binds_of("bob")
    assert type_in("bob", password_of("bob")).status == 422
    assert slapd.binds_of("bob") == before
    assert new_client().get("/sign-in").status_code == 200
