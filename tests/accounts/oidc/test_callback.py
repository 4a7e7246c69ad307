"""To the provider and back: who may not come in that way, then who may, and as whom."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts import cookies
from accounts.models import Connector, Identity, LoginSession, Membership, ProviderFlow, ProviderSession, SignIn, User
from accounts.oidc import discovery
from accounts.services.users import create_user, disable_user, set_groups
from broker.models import AuditEvent
from tests.accounts.oidc.conftest import (
    ConnectorMaker,
    Traveller,
    assert_refused,
    parameters,
    refusals,
    words,
)
from tests.accounts.oidc.provider import HostileProvider
from tests.conftest import TESTS, Clock, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)
TRUSTED = {"second_factor": {"amr": ["mfa"], "acr": ["gold"]}}


# --- the state --------------------------------------------------------------------------------------------------------


def test_an_answer_in_another_browser_lets_nobody_in(
    op: HostileProvider, corp: Connector, traveller: Traveller
) -> None:
    """L07: login CSRF. The state is used up, also for the browser it belongs to."""
    answer = op.grant(traveller.go())
    victim = Traveller(op)
    assert_refused(victim.back(answer), "other-browser")
    victim.go()  # has a cookie, of a way of its own
    assert_refused(victim.back(op.grant(traveller.go())), "other-browser")
    assert_refused(traveller.back(answer), "unknown-state")
    assert not SignIn.objects.exists()
    assert "/token" not in op.asked


@pytest.mark.parametrize(
    "change",
    [
        {"state": None},
        {"state": ""},
        {"state": "x" * 43},
        {"state": "x" * 5000},
        {"state": "\0"},
        {"state": "ÿ"},
        {"code": None},
        {"code": ""},
        {"code": "x" * 5000},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": ""},
        {"error": "access_denied"},
        {"error": "<script>alert(1)</script>"},
        {"error": ["access_denied", "access_denied"]},
        {"code": ["a", "b"]},
        {"state": ["a", "b"]},
        {"iss": ["a", "b"]},
    ],
)
def test_an_answer_that_is_none(
    op: HostileProvider, corp: Connector, traveller: Traveller, change: dict[str, Any]
) -> None:
    """L03, L07: missing, doubled, malformed; and what a provider without a name of its own may leave out it may not."""
    answer = {**op.grant(traveller.go()), **change}
    page = traveller.back({name: value for name, value in answer.items() if value is not None})
    assert page.status_code == 403, words(page)
    assert "<script>alert" not in page.content.decode()
    assert "/token" not in op.asked
    assert not traveller.got_past_the_first_step


def test_an_empty_answer_and_a_posted_one(corp: Connector, traveller: Traveller) -> None:
    """L03."""
    assert_refused(traveller.back({}), "unknown-state")
    assert traveller.browser.post("/oidc/corp/callback").status_code == 405
    assert traveller.browser.get("/oidc/corp/sign-in")["Location"] == "/sign-in"
    assert not ProviderFlow.objects.exists(), "nothing begins by a GET"
    assert traveller.browser.get("/oidc/nobody/callback").status_code == 404
    assert traveller.browser.post("/oidc/nobody/sign-in").status_code == 404


def test_a_state_ends_after_ten_minutes(
    op: HostileProvider, corp: Connector, traveller: Traveller, clock: Clock
) -> None:
    """L07."""
    answer = op.grant(traveller.go())
    clock.advance(601)
    assert_refused(traveller.back(answer), "flow-over")


def test_the_answer_of_another_provider_is_refused(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    """L07, mix-up: the state of one at the callback of the other."""
    connect("corp")
    connect("evil")
    assert_refused(traveller.back(op.grant(traveller.go("corp")), "evil"), "other-provider")
    assert "/token" not in op.asked


def test_a_state_cannot_be_used_twice_and_ends_what_it_made(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    """L07, L10: from another browser too, since whoever has the two stole them."""
    connect(**TRUSTED)
    answer = op.grant(traveller.go(), {"amr": ["mfa"]})
    assert traveller.back(answer)["Location"] == "/"
    assert traveller.is_in
    session = LoginSession.objects.get()
    page = Traveller(op).back(answer)
    assert page.status_code == 403
    assert "used-twice" in words(page)
    session.refresh_from_db()
    assert session.ended_reason == "code-used-twice"
    assert not traveller.is_in
    assert op.asked.count("/token") == 1


def test_a_state_used_twice_before_the_second_factor_ends_the_sign_in(
    op: HostileProvider, corp: Connector, traveller: Traveller
) -> None:
    """L10."""
    answer = op.grant(traveller.go())
    traveller.back(answer)
    assert traveller.got_past_the_first_step
    assert_refused(traveller.back(answer), "used-twice")
    assert not traveller.got_past_the_first_step


def test_a_code_for_another_state_is_worth_nothing(op: HostileProvider, corp: Connector, traveller: Traveller) -> None:
    """L10: PKCE binds it, also for somebody who has a state of their own; it ends no session of anybody."""
    stolen = op.grant(traveller.go())
    thief = Traveller(op)
    mine = op.grant(thief.go())
    assert_refused(thief.back({**mine, "code": stolen["code"]}), "code-refused")
    assert_refused(thief.back({**mine, "code": stolen["code"]}), "unknown-state")


def test_two_tabs_do_not_disturb_each_other(op: HostileProvider, corp: Connector, traveller: Traveller) -> None:
    """L03."""
    first, second = op.grant(traveller.go()), op.grant(traveller.go())
    assert traveller.back(second)["Location"] == "/sign-in/enrol"
    assert traveller.back(first)["Location"] == "/sign-in/enrol"
    assert User.objects.count() == 1


def test_what_is_sent_along_and_what_is_stored(op: HostileProvider, corp: Connector, traveller: Traveller) -> None:
    """S14, S15: state, nonce and verifier are not in the database; nothing that lets in is in an address of ours."""
    url = traveller.go(next="/account")
    sent = parameters(url)
    assert sent["code_challenge_method"] == "S256"
    assert sent["redirect_uri"] == "http://postern.localhost:8080/oidc/corp/callback"
    assert len(sent["nonce"]) == len(sent["code_challenge"]) == 43
    row = ProviderFlow.objects.get()
    browser = traveller.browser.cookies[cookies.PROVIDER]
    said = [browser[name] for name in ("secure", "httponly", "samesite", "domain", "path")]
    assert said == [True, True, "Lax", "", "/"]
    kept = " ".join(str(value) for value in vars(row).values())
    for secret in (sent["state"], sent["nonce"], browser.value):
        assert secret not in kept
    page = traveller.back(op.grant(url))
    assert page["Location"] == "/sign-in/enrol"
    assert page["Referrer-Policy"] == "no-referrer"


def test_tokens_are_stored_sealed_or_not_at_all(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    """S14: neither access nor refresh token; the ID token sealed, and only for signing out there."""
    connect("corp", **TRUSTED)
    tokens: list[str] = []
    honest = op.forge
    op.forge = lambda claims: tokens.append(honest(claims)) or tokens[-1]  # type: ignore[func-returns-value]
    traveller.there_and_back(amr=["mfa"], upstream=honest({"sub": "x"}))
    assert ProviderSession.objects.get().id_token == tokens[0]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            everything = repr(cursor.fetchall())
            assert "r-1" not in everything, table
            assert tokens[0].split(".")[2] not in everything, table
            assert "eyJ" not in everything, table


# --- where it leads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "next", ["https://evil.example", "//evil.example", "/oidc/corp/callback?x=1", "/\\evil", "/nope"]
)
def test_one_is_led_nowhere_else(op: HostileProvider, connect: ConnectorMaker, traveller: Traveller, next: str) -> None:
    """L33."""
    connect(**TRUSTED)
    assert traveller.there_and_back(onward=next, amr=["mfa"])["Location"] == "/"


def test_one_is_led_to_where_one_was_going(op: HostileProvider, connect: ConnectorMaker, traveller: Traveller) -> None:
    """L33."""
    connect(**TRUSTED)
    assert traveller.there_and_back(onward="/account?tab=1", amr=["mfa"])["Location"] == "/account?tab=1"


# --- the second factor ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec, claims",
    [
        ({}, {"amr": ["mfa", "hwk"], "acr": "gold"}),
        (TRUSTED, {}),
        (TRUSTED, {"amr": ["pwd"], "acr": "silver"}),
        (TRUSTED, {"amr": "mfa"}),
        (TRUSTED, {"amr": {"mfa": True}}),
        (TRUSTED, {"amr": [["mfa"]]}),
        (TRUSTED, {"acr": ["gold"]}),
        (TRUSTED, {"amr": ["MFA"]}),
        (TRUSTED, {"amr": ["mfa"], "auth_time": "1", "iat": None}),
        (TRUSTED, {"amr": ["mfa"], "auth_time": "now"}),
    ],
)
def test_ours_is_asked_unless_the_provider_gave_one_that_counts(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller, spec: dict[str, Any], claims: dict[str, Any]
) -> None:
    """L03: never past an unmet step."""
    connect(**spec)
    traveller.there_and_back(**claims)
    assert not traveller.is_in
    assert not LoginSession.objects.exists()


@pytest.mark.parametrize(
    "claims, amr",
    [
        ({"amr": ["pwd", "mfa"]}, ["fed", "mfa", "pwd"]),
        ({"acr": "gold"}, ["fed", "mfa"]),
        ({"amr": ["mfa", "hwk", "x-vendor"]}, ["fed", "mfa"]),
    ],
)
def test_a_second_factor_of_the_provider_counts_where_the_connector_says_so(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller, claims: dict[str, Any], amr: list[str]
) -> None:
    connector = connect(**TRUSTED)
    then = int(timezone.now().timestamp()) - 1000
    traveller.there_and_back(auth_time=then, **claims)
    assert traveller.is_in
    session = LoginSession.objects.get()
    assert (session.amr, session.via) == (amr, "oidc:corp")
    assert session.mfa_at is not None
    assert session.mfa_at.timestamp() == then
    there = ProviderSession.objects.get(login_session=session)
    assert (there.issuer, there.subject, there.sid) == (op.issuer, "alice-at-corp", "session-1")
    assert there.connector_id == connector.pk


def test_our_second_factor_finishes_the_sign_in(
    op: HostileProvider, corp: Connector, traveller: Traveller, alice: Person
) -> None:
    _linked(corp, alice.user)
    assert traveller.there_and_back(onward="/account")["Location"] == "/sign-in/second-factor"
    assert not traveller.is_in
    done = traveller.browser.post("/sign-in/second-factor", {"code": alice.code()})
    assert done["Location"] == "/account"
    assert LoginSession.objects.get(via="oidc:corp").amr == ["fed", "mfa", "otp"]


# --- who that is ------------------------------------------------------------------------------------------------------


def _linked(connector: Connector, user: User, subject: str = "alice-at-corp") -> Identity:
    issuer = connector.document["spec"]["issuer"]
    return Identity.objects.create(user=user, connector=connector, issuer=issuer, subject=subject)


def test_a_name_that_is_taken_is_refused_and_not_linked(corp: Connector, traveller: Traveller, alice: Person) -> None:
    """L15: neither by name nor by mail address."""
    User.objects.filter(pk=alice.user.pk).update(email="ada@example.com")
    assert_refused(traveller.there_and_back(preferred_username="alice"), "name-taken")
    assert not Identity.objects.exists()
    assert traveller.there_and_back(preferred_username="other")["Location"] == "/sign-in/enrol"
    assert Identity.objects.get().user.username == "other"
    assert refusals() == ["name-taken"]


def test_two_providers_that_tell_the_same_address_make_two_people(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    """L15: and the same subject at another issuer is somebody else."""
    connect("corp")
    traveller.there_and_back()
    with HostileProvider() as second:
        spec = {"issuer": second.issuer, "client_id": "postern", "create_users": True}
        document = {"kind": "oidc", "metadata": {"name": "second"}, "spec": spec}
        from tests.accounts.oidc.provider import CLIENT_SECRET

        Connector.objects.create(kind="oidc", name="second", document=document, secret=CLIENT_SECRET)
        assert_refused(Traveller(second).there_and_back("second"), "name-taken")
        Traveller(second).there_and_back("second", preferred_username="ada2")
    assert sorted(User.objects.values_list("username", "email")) == [
        ("ada", "ada@example.com"),
        ("ada2", "ada@example.com"),
    ]


def test_an_address_that_changes_at_the_provider_changes_nobody(corp: Connector, traveller: Traveller) -> None:
    """L15: identity is (issuer, subject)."""
    traveller.there_and_back()
    Traveller(traveller.op).there_and_back(email="root@example.com", preferred_username="root", name="Ada B.")
    user = User.objects.get()
    assert (user.username, user.full_name, user.email) == ("ada", "Ada B.", "root@example.com")


@pytest.mark.parametrize("verified", ["true", "false", 1, "1", None, False, ["true"], {"value": True}])
def test_an_address_counts_only_if_it_is_verified_and_true_means_true(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller, verified: Any
) -> None:
    """L15."""
    connect(create_users={"email_domains": ["example.com"]})
    op.userinfo = {"sub": "alice-at-corp"}
    assert_refused(traveller.there_and_back(email_verified=verified), "not-among-created")


@pytest.mark.parametrize(
    "email",
    ["ada@example.com@evil.org", "ada@evil.org", "ada＠example.com", "ada@example.com\0", "ada@example.com.", "@"],
)
def test_an_address_that_looks_like_one_of_the_domain_is_not(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller, email: str
) -> None:
    """L16."""
    connect(create_users={"email_domains": ["example.com"]})
    assert_refused(traveller.there_and_back(email=email), "not-among-created")


def test_accounts_are_made_for_a_verified_address_of_the_domain(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    connect(create_users={"email_domains": ["example.com"]})
    assert traveller.there_and_back()["Location"] == "/sign-in/enrol"


def test_accounts_are_made_for_members_alone(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    connect(create_users={"groups": ["engineers"]}, groups=[{"claim": "groups", "groups": ["{{external.groups}}"]}])
    assert_refused(traveller.there_and_back(), "not-among-created")
    assert traveller.there_and_back(groups=["engineers"])["Location"] == "/sign-in/enrol"
    assert set(Membership.objects.values_list("group__name", "source")) == {("engineers", "oidc:corp")}


def test_without_a_choice_nobody_is_made(op: HostileProvider, connect: ConnectorMaker, traveller: Traveller) -> None:
    connect(create_users=None)
    assert_refused(traveller.there_and_back(), "not-linked")
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "name",
    [
        "alice",
        "ALICE",
        "ａlice",
        "alıce\u0000",
        "alice\0",
        " alice",
        "alice@corp.com",
        "a" * 33,
        "\u212aelvin",
        "",
        ["alice"],
    ],
)
def test_no_spelling_of_a_name_becomes_somebody_elses_account(
    corp: Connector, traveller: Traveller, alice: Person, name: Any
) -> None:
    """L16."""
    create_user(TESTS, "kelvin")
    page = traveller.there_and_back(preferred_username=name)
    assert page.status_code == 403, words(page)
    assert User.objects.count() == 2
    assert not Identity.objects.exists()


def test_groups_are_what_the_provider_says_now(corp: Connector, traveller: Traveller) -> None:
    """S11: what it does not say any more is gone with the next sign-in; ours stay; hostile names are no names."""
    traveller.there_and_back(groups=["Staff", "engineers", "../admins", "admins\0", "x" * 40, 5, None, {"a": 1}])
    user = User.objects.get()
    set_groups(TESTS, user, ["local-ones"])
    assert _groups(user) == {"staff", "engineers", "5", "local-ones"}
    Traveller(traveller.op).there_and_back(groups=["staff"])
    assert _groups(user) == {"staff", "local-ones"}
    Traveller(traveller.op).there_and_back(groups=[])
    assert _groups(user) == {"local-ones"}


def _groups(user: User) -> set[str]:
    return set(Membership.objects.filter(user=user).values_list("group__name", flat=True))


def test_claims_that_no_database_keeps(corp: Connector, traveller: Traveller) -> None:
    odd: dict[str, Any] = {
        "a\0b": "c\0d",
        "half": "\ud800",
        "big": 10**300,
        "deep": [[[[[[[[1]]]]]]]],
        "name": "N" * 1000,
    }
    traveller.there_and_back(**odd)
    identity = Identity.objects.get()
    assert identity.claims["a\ufffdb"] == "c\ufffdd"
    assert identity.claims["half"] == "\ufffd"


def test_what_the_id_token_lacks_is_asked_of_userinfo(
    op: HostileProvider, corp: Connector, traveller: Traveller
) -> None:
    op.userinfo = {"sub": "alice-at-corp", "groups": ["engineers"], "name": "Not Signed", "amr": ["mfa"]}
    traveller.there_and_back(groups=None)
    assert _groups(User.objects.get()) == {"engineers"}
    assert User.objects.get().full_name == "Ada Example", "what is signed goes first"
    Traveller(op).there_and_back()
    assert op.asked.count("/userinfo") == 1


@pytest.mark.parametrize("said", [{"sub": "bob-at-corp"}, {}, {"sub": ["alice-at-corp"]}])
def test_userinfo_about_somebody_else_is_refused(
    op: HostileProvider, corp: Connector, traveller: Traveller, said: dict[str, Any]
) -> None:
    op.userinfo = {**said, "groups": ["admins"]}
    assert_refused(traveller.there_and_back(groups=None), "other-userinfo")


def test_a_second_factor_that_only_userinfo_tells_of_counts_for_nothing(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    connect(groups=[{"claim": "groups", "groups": ["staff"]}], **TRUSTED)
    op.userinfo = {"sub": "alice-at-corp", "amr": ["mfa"], "acr": "gold"}
    traveller.there_and_back(groups=None)
    assert not traveller.is_in


def test_who_is_disabled_stays_out(corp: Connector, traveller: Traveller, alice: Person) -> None:
    _linked(corp, alice.user)
    disable_user(TESTS, alice.user)
    assert_refused(traveller.there_and_back(), "user-disabled")


def test_a_connector_that_is_switched_off_lets_nobody_in(
    op: HostileProvider, corp: Connector, traveller: Traveller, alice: Person
) -> None:
    _linked(corp, alice.user)
    answer = op.grant(traveller.go())
    Connector.objects.update(enabled=False)
    assert_refused(traveller.back(answer), "connector-disabled")
    assert traveller.browser.post("/oidc/corp/sign-in").status_code == 404
    assert "corp" not in words(traveller.browser.get("/sign-in"))


def test_the_oid_of_entra_may_be_the_subject(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    connect(subject_claim="oid", **TRUSTED)
    assert_refused(traveller.there_and_back(amr=["mfa"]), "wrong-subject")
    traveller.there_and_back(oid="0000-1", amr=["mfa"])
    assert Identity.objects.get().subject == "0000-1"
    assert ProviderSession.objects.get().subject == "alice-at-corp", "what a logout there will name"


def test_a_secret_that_is_wrong_here_is_the_connectors_problem(
    op: HostileProvider, corp: Connector, traveller: Traveller
) -> None:
    corp.secret = "another"
    corp.save()
    page = traveller.there_and_back()
    assert_refused(page, "client-refused", 503)
    corp.refresh_from_db()
    assert "invalid_client" in corp.problem
    assert "another" not in page.content.decode() + corp.problem


def test_no_secret_in_the_log(op: HostileProvider, corp: Connector, traveller: Traveller) -> None:
    """S15."""
    answer = op.grant(traveller.go(), {"nonce": "wrong"})
    traveller.back(answer)
    said = " ".join(str(vars(event)) for event in AuditEvent.objects.all())
    assert "wrong-nonce" in said
    for secret in (answer["state"], answer["code"], corp.secret):
        assert secret not in said


# --- confirming, linking, trying --------------------------------------------------------------------------------------


def _in(person: Person, op: HostileProvider) -> Traveller:
    return Traveller(op, person.client)


def test_confirming_there_asks_for_a_new_sign_in_and_renews_the_time(
    op: HostileProvider, connect: ConnectorMaker, alice: Person
) -> None:
    connector = connect(**TRUSTED)
    _linked(connector, alice.user)
    alice_there, session = _in(alice, op), alice.session
    LoginSession.objects.update(mfa_at=timezone.now() - timedelta(hours=1))
    url = alice_there.go(next="/account/password", path="/account/confirm/oidc/corp")
    assert (parameters(url)["prompt"], parameters(url)["max_age"]) == ("login", "0")
    back = alice_there.back(op.grant(url, {"amr": ["mfa", "otp"]}))
    assert back["Location"] == "/account/password"
    session.refresh_from_db()
    assert session.mfa_at is not None
    assert timezone.now() - session.mfa_at < timedelta(seconds=30)
    assert "otp" in session.amr
    assert alice_there.is_in


@pytest.mark.parametrize(
    "claims, why",
    [
        ({"amr": ["mfa"], "auth_time": None}, "wrong-time"),
        ({"amr": ["mfa"], "auth_time": 1_000_000}, "not-signed-in-anew"),
        ({"amr": ["mfa"], "auth_time": 2**39}, "not-signed-in-anew"),
        ({"amr": ["pwd"]}, "no-second-factor"),
        ({"amr": ["mfa"], "sub": "bob-at-corp"}, "other-account"),
    ],
)
def test_confirming_with_less_than_that_confirms_nothing(
    op: HostileProvider, connect: ConnectorMaker, alice: Person, claims: dict[str, Any], why: str
) -> None:
    _linked(connect(**TRUSTED), alice.user)
    alice_there = _in(alice, op)
    LoginSession.objects.update(mfa_at=None)
    url = alice_there.go(path="/account/confirm/oidc/corp")
    assert_refused(alice_there.back(op.grant(url, claims)), why)
    assert LoginSession.objects.get().mfa_at is None


def test_who_has_no_account_there_cannot_confirm_there(
    op: HostileProvider, connect: ConnectorMaker, alice: Person, bob: Person
) -> None:
    _linked(connect(**TRUSTED), alice.user)
    assert bob.client.post("/account/confirm/oidc/corp").status_code == 404
    assert new_client().post("/account/confirm/oidc/corp")["Location"] == "/sign-in"
    connect("plain")
    assert alice.client.post("/account/confirm/oidc/plain").status_code == 404


def test_a_flow_belongs_to_the_login_session_it_was_begun_in(
    op: HostileProvider, connect: ConnectorMaker, alice: Person, bob: Person
) -> None:
    """L04, L07: the same browser, signed in as somebody else meanwhile."""
    _linked(connect(**TRUSTED), alice.user)
    alice_there = _in(alice, op)
    url = alice_there.go(path="/account/confirm/oidc/corp")
    alice_there.browser.cookies[cookies.SESSION] = bob.client.cookies[cookies.SESSION].value
    assert_refused(alice_there.back(op.grant(url, {"amr": ["mfa"]})), "other-browser")


def test_an_account_there_is_connected_by_whoever_has_both(op: HostileProvider, corp: Connector, alice: Person) -> None:
    alice_there = _in(alice, op)
    assert "Connect your account at corp" in words(alice.client.get("/account/identities/corp/link"))
    url = alice_there.go(path="/account/identities/corp/link")
    assert alice_there.back(op.grant(url))["Location"] == "/account"
    assert Identity.objects.get().user == alice.user
    assert _groups(alice.user) == {"engineers", "staff"}
    assert Traveller(op).there_and_back()["Location"] == "/sign-in/second-factor"
    assert User.objects.count() == 1


def test_an_account_that_is_anothers_is_not_connected(
    op: HostileProvider, corp: Connector, alice: Person, bob: Person
) -> None:
    _linked(corp, bob.user)
    alice_there = _in(alice, op)
    page = alice_there.back(op.grant(alice_there.go(path="/account/identities/corp/link")))
    assert_refused(page, "linked-elsewhere")
    assert Identity.objects.get().user == bob.user


def test_connecting_wants_a_fresh_second_factor(op: HostileProvider, corp: Connector, alice: Person) -> None:
    alice.client.get("/account")
    LoginSession.objects.update(mfa_at=timezone.now() - timedelta(hours=1))
    page = alice.client.post("/account/identities/corp/link")
    assert page["Location"] == "/account/confirm?next=/account/identities/corp/link"
    assert not ProviderFlow.objects.exists()


def _test_of(op: HostileProvider, connector: Connector, person: Person, **claims: Any) -> str:
    from accounts.services.oidc_sign_in import begin_test

    url, browser = begin_test(TESTS, connector, person.session)
    person.client.cookies[cookies.PROVIDER] = browser
    page = person.client.get(f"/oidc/{connector.name}/callback", op.grant(url, claims))
    assert page.status_code == 200, words(page)
    return words(page)


def test_a_test_tells_everything_and_does_nothing(op: HostileProvider, connect: ConnectorMaker, alice: Person) -> None:
    connector = connect(enabled=False, groups=[{"claim": "groups", "value": "adm*", "groups": ["admins"]}])
    text = _test_of(op, connector, alice, upstream="eyJhbGciOiJSUzI1NiJ9.eyJh.x")
    assert "This would create ada and sign in" in text
    assert "ada@example.com (verified)" in text
    assert "no value matches" in text
    assert "The connector counts no second factor of the provider" in text
    assert "eyJ" not in text
    assert not Identity.objects.exists()
    assert User.objects.count() == 1
    assert not SignIn.objects.exists()
    assert [e.data["outcome"] for e in AuditEvent.objects.filter(name="connector.tested")] == ["ok"]


@pytest.mark.parametrize(
    "claims, why",
    [
        ({"preferred_username": "alice"}, "name-taken"),
        ({"nonce": "x"}, "wrong-nonce"),
        ({"aud": "x"}, "wrong-audience"),
    ],
)
def test_a_test_tells_what_is_wrong(
    op: HostileProvider, connect: ConnectorMaker, alice: Person, claims: dict[str, Any], why: str
) -> None:
    connector = connect(enabled=False)
    text = _test_of(op, connector, alice, **claims)
    assert "This would be refused" in text
    assert why in text
    assert [e.data["outcome"] for e in AuditEvent.objects.filter(name="connector.tested")] == [why]
    assert not Identity.objects.exists()


def test_a_test_is_shown_to_whoever_began_it(
    op: HostileProvider, connect: ConnectorMaker, alice: Person, bob: Person
) -> None:
    from accounts.services.oidc_sign_in import begin_test

    connector = connect(enabled=False)
    url, browser = begin_test(TESTS, connector, alice.session)
    bob.client.cookies[cookies.PROVIDER] = browser
    page = bob.client.get("/oidc/corp/callback", op.grant(url))
    assert_refused(page, "other-browser")


def test_the_page_that_leads_off_leads_where_it_should(
    op: HostileProvider, corp: Connector, traveller: Traveller
) -> None:
    page = traveller.browser.post("/oidc/corp/sign-in")
    found = re.search(r'content="0; url=([^"]+)"', page.content.decode())
    assert found
    assert found[1].replace("&amp;", "&") == page.context["url"]
    assert page["Cache-Control"] == "no-store"


def test_a_query_in_the_authorization_endpoint_stays(
    op: HostileProvider, corp: Connector, traveller: Traveller
) -> None:
    discovery.forget()
    op.discovery = {"authorization_endpoint": f"{op.issuer}/authorize?tenant=a%20b"}
    page = traveller.browser.post("/oidc/corp/sign-in")
    assert parameters(page.context["url"])["tenant"] == "a b"


def test_people_made_by_a_provider_cannot_use_a_password(corp: Connector, traveller: Traveller) -> None:
    traveller.there_and_back()
    assert not User.objects.get().has_usable_password()
    create_user(TESTS, "unrelated")
