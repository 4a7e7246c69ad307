"""Users as Okta, Entra ID and Keycloak provision them: whose they are, what becomes of them, and who is out at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from accounts.models import Connector, Identity, LoginSession, Membership, User
from accounts.services import users as accounts
from broker.audit.origin import system
from broker.documents import OidcSpec, to_document
from broker.models import AccessSession, AuditEvent
from broker.policy.claims import ClaimMapping
from broker.scim.words import PATCH, USER
from broker.services import leavers, users
from broker.services.app_sessions import issue_app_token
from broker.services.decisions import subject_now
from tests.broker.cast import Cast, change, signed_in
from tests.broker.scim.conftest import Provisioner, patch_of, provisioner

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ISSUER = "https://id.example.com"


def person(ident: dict[str, Any]) -> User:
    return User.objects.get(pk=ident["id"])


# --- whose they are ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alice", "ALICE", "alice@example.com", " alice ", "adam", "build_bot"])
def test_a_name_that_is_taken_is_never_linked(okta: Provisioner, name: str) -> None:
    """L: names and addresses link nothing."""
    before = set(User.objects.values_list("pk", "email", "full_name", "disabled_at"))
    body = {"userName": name, "displayName": "Eve", "emails": [{"value": "alice@example.com"}], "active": False}
    assert okta.error("POST", "Users", body) == (409, "uniqueness")
    assert set(User.objects.values_list("pk", "email", "full_name", "disabled_at")) == before
    assert not Identity.objects.exists()


def test_local_users_and_those_of_other_clients_are_invisible(cast: Cast, okta: Provisioner) -> None:
    theirs = provisioner("entra").user("zoe")
    for ident in (str(cast.alice.user.pk), theirs["id"], "x", "%00", "0" * 36, theirs["id"].upper()):
        for method, body in (
            ("GET", None),
            ("PUT", {"userName": "eve"}),
            ("PATCH", patch_of({"op": "replace", "path": "active", "value": False})),
            ("DELETE", None),
        ):
            assert okta.error(method, f"Users/{ident}", body) == (404, "")
    for words in (f'id eq "{theirs["id"]}"', 'userName eq "zoe"', 'userName eq "alice"', "active eq true"):
        assert found(okta, words) == []
    assert User.objects.filter(disabled_at=None).count() == User.objects.count()


def found(client: Provisioner, words: str) -> list[str]:
    """The userNames that a filter finds."""
    told = client.http.get("/scim/v2/Users", {"filter": words}, headers=headers(client)).json()
    return [item["userName"] for item in told["Resources"]]


@pytest.mark.parametrize(
    ("user_name", "name"),
    [
        ("zoe", "zoe"),
        ("Zoe.Z@Example.COM", "zoe.z"),
        ("zoe@münchen.de", "zoe"),
        ("build-bot_2", "build-bot_2"),
    ],
)
def test_the_userName_gives_the_name_and_comes_back_as_it_was(okta: Provisioner, user_name: str, name: str) -> None:
    made = okta.user(user_name)
    assert made["userName"] == user_name
    assert person(made).username == name
    assert found(okta, f'userName eq "{user_name.upper()}"') == [user_name]


@pytest.mark.parametrize(
    "user_name",
    [
        "",
        "   ",
        "@example.com",
        "zoe@a@b",
        "zoé",
        "Ａlice",
        "ｚoe@example.com",
        "zoe zoe",
        "z" * 33,
        "-zoe",
        "root@db-1@x",
        "a/b",
        "😀",
    ],
)
def test_a_userName_that_gives_no_name_is_refused_with_words(okta: Provisioner, user_name: str) -> None:
    assert okta.error("POST", "Users", {"userName": user_name}) == (400, "invalidValue")
    assert not Identity.objects.exists()


def test_one_person_is_not_provisioned_twice(okta: Provisioner) -> None:
    okta.user("zoe@example.com", externalId="7")
    for body in (
        {"userName": "ZOE@example.com"},
        {"userName": "zoe@other.org"},
        {"userName": "yan", "externalId": "7"},
    ):
        assert okta.error("POST", "Users", body) == (409, "uniqueness")
    yan = okta.user("yan", externalId="8")
    for body in ({"userName": "zoe@EXAMPLE.com"}, {"userName": "yan", "externalId": "7"}):
        assert okta.error("PUT", f"Users/{yan['id']}", body) == (409, "uniqueness")


def test_a_provisioned_person_has_no_way_in_of_their_own(okta: Provisioner) -> None:
    zoe = person(okta.user("zoe", password="correct horse battery staple"))
    assert not zoe.has_usable_password()
    kept = str(list(Identity.objects.values())) + str(list(AuditEvent.objects.values()))
    assert "horse" not in kept


# --- what becomes of them ---------------------------------------------------------------------------------------------


def test_a_whole_user_comes_back_as_it_was_sent(okta: Provisioner) -> None:
    sent = {
        "schemas": [USER, ENTERPRISE],
        "userName": "zoe@example.com",
        "externalId": "00u1",
        "displayName": "Zoë Zander",
        "name": {"givenName": "Zoë", "familyName": "Zander", "middleName": "Q"},
        "emails": [
            {"value": "zoe@home.example", "type": "home"},
            {"value": "zoe@example.com", "type": "work", "primary": True},
        ],
        "active": True,
        "title": "nobody keeps this",
        ENTERPRISE: {"department": "nor this"},
    }
    response = okta.send("POST", "Users", sent)
    made = response.json()  # type: ignore[attr-defined]
    ident = made["id"]
    place = f"http://postern.localhost:8080/scim/v2/Users/{ident}"
    assert (response.status_code, response.headers["Location"]) == (201, place)
    assert response.headers["ETag"] == made["meta"]["version"]
    assert response.headers["Content-Type"] == "application/scim+json"
    for key in ("userName", "externalId", "displayName", "name", "emails", "active"):
        assert made[key] == sent[key]
    assert made["schemas"] == [USER]
    assert made["meta"] | {"version": ""} == made["meta"] | {"version": "", "resourceType": "User", "location": place}
    assert okta.ok("GET", f"Users/{ident}") == made
    user = person(made)
    assert (user.full_name, user.email, user.kind) == ("Zoë Zander", "zoe@example.com", "person")
    identity = Identity.objects.get(user=user)
    assert (identity.issuer, identity.subject, identity.claims["externalId"]) == ("scim:okta", ident, "00u1")
    linked = AuditEvent.objects.get(name="user.identity.linked")
    assert (linked.actor_kind, linked.actor_name, linked.actor_id) == ("connector", "scim:okta", str(okta.connector.pk))


ZOE: dict[str, Any] = {
    "userName": "zoe@example.com",
    "externalId": "1",
    "displayName": "Zoe",
    "name": {"givenName": "Zoe", "familyName": "Zander"},
    "emails": [{"value": "zoe@example.com", "type": "work", "primary": True}],
}
WORK = 'emails[type eq "work"]'
HOME = {"value": "z@home.example", "type": "home"}
PATCHES: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
    ("okta: an object without a path", [{"op": "replace", "value": {"displayName": "Z"}}], {"displayName": "Z"}),
    ("entra: capitals", [{"op": "Replace", "path": "displayName", "value": "Z"}], {"displayName": "Z"}),
    ("entra: add to what is one", [{"op": "Add", "path": "displayName", "value": "Z"}], {"displayName": "Z"}),
    (
        "entra: dotted keys without a path",
        [{"op": "Add", "value": {"name.givenName": "Z", f"{WORK}.value": "z@x.example"}}],
        {"name": {"givenName": "Z", "familyName": "Zander"}, "emails": [{**ZOE["emails"][0], "value": "z@x.example"}]},
    ),
    (
        "entra: an address by its type",
        [{"op": "Replace", "path": f"{WORK}.value", "value": "new@example.com"}],
        {"emails": [{"value": "new@example.com", "type": "work", "primary": True}]},
    ),
    (
        "entra: an address of a type that is not there",
        [{"op": "Replace", "path": 'emails[type eq "home"].value', "value": "z@home.example"}],
        {"emails": [*ZOE["emails"], {"type": "home", "value": "z@home.example"}]},
    ),
    ("one more address", [{"op": "add", "path": "emails", "value": [HOME]}], {"emails": [*ZOE["emails"], HOME]}),
    (
        "a new primary address takes that from the old",
        [{"op": "add", "path": "emails", "value": [{**HOME, "primary": True}]}],
        {"emails": [{**ZOE["emails"][0], "primary": False}, {**HOME, "primary": True}]},
    ),
    ("all addresses anew", [{"op": "replace", "path": "emails", "value": [HOME]}], {"emails": [HOME]}),
    ("an address goes", [{"op": "remove", "path": WORK}], {"emails": None}),
    ("all addresses go", [{"op": "remove", "path": "emails"}], {"emails": None}),
    ("an address that is not there goes", [{"op": "remove", "path": 'emails[type eq "fax"]'}], {}),
    (
        "a part of a name",
        [{"op": "replace", "path": "name.givenName", "value": "Zz"}],
        {"name": {"givenName": "Zz", "familyName": "Zander"}},
    ),
    ("a part of a name goes", [{"op": "remove", "path": "name.familyName"}], {"name": {"givenName": "Zoe"}}),
    (
        "parts of a name",
        [{"op": "replace", "path": "name", "value": {"givenName": "Q"}}],
        {"name": {"givenName": "Q", "familyName": "Zander"}},
    ),
    ("a full path", [{"op": "replace", "path": f"{USER}:displayName", "value": "Z"}], {"displayName": "Z"}),
    ("null is none", [{"op": "replace", "path": "displayName", "value": None}], {"displayName": None}),
    ("what nobody keeps", [{"op": "add", "path": "nickName", "value": "Z"}], {}),
    ("another schema", [{"op": "add", "path": f"{ENTERPRISE}:department", "value": "Z"}], {}),
    ("another schema without a path", [{"op": "add", "value": {f"{ENTERPRISE}:manager": {"value": "1"}}}], {}),
    (
        "read-only things sent along",
        [{"op": "replace", "value": {"id": "x", "displayName": "Z"}}],
        {"displayName": "Z"},
    ),
    (
        "several, in order",
        [
            {"op": "remove", "path": "displayName"},
            {"op": "add", "path": "displayName", "value": "A"},
            {"op": "replace", "path": "externalId", "value": "2"},
        ],
        {"displayName": "A", "externalId": "2"},
    ),
]


@pytest.mark.parametrize(("operations", "result"), [p[1:] for p in PATCHES], ids=[p[0] for p in PATCHES])
def test_a_patch_changes_what_it_says_and_nothing_else(
    okta: Provisioner, operations: list[dict[str, Any]], result: dict[str, Any]
) -> None:
    made = okta.ok("POST", "Users", ZOE, 201)
    told = okta.patch(f"Users/{made['id']}", *operations)
    expected = {**ZOE, **result}
    assert {key: told.get(key) for key in expected} == expected
    assert okta.ok("GET", f"Users/{made['id']}") == told
    assert (told["meta"]["version"] != made["meta"]["version"]) == (expected != ZOE)
    user = person(made)
    assert user.username == "zoe"
    assert user.email == next((e["value"] for e in (told.get("emails") or []) if e.get("primary")), user.email)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ({"op": "move", "path": "displayName", "value": "x"}, "invalidSyntax"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "replace", "path": "displayName"}, "invalidValue"),
        ({"op": "replace", "value": "x"}, "invalidValue"),
        ({"op": "replace", "path": "display Name", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'emails[type co "x"].value', "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'emails[nothing eq "x"].value', "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'emails[value eq "x"].type', "value": "x"}, "noTarget"),
        ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
        ({"op": "replace", "path": "meta.created", "value": "x"}, "mutability"),
        ({"op": "add", "path": "groups", "value": [{"value": "x"}]}, "mutability"),
        ({"op": "remove", "path": "userName"}, "mutability"),
        ({"op": "replace", "path": "password", "value": "secret"}, "mutability"),
        ({"op": "replace", "path": "active", "value": "maybe"}, "invalidValue"),
        ({"op": "remove", "path": "active"}, "invalidValue"),
        ({"op": "replace", "path": "userName", "value": ""}, "invalidValue"),
        ({"op": "replace", "path": "emails", "value": "x"}, "invalidValue"),
        ({"op": "replace", "path": "emails", "value": [{"value": "x"}] * 21}, "tooMany"),
        ("text", "invalidSyntax"),
    ],
)
def test_a_patch_that_cannot_be_done_changes_nothing(okta: Provisioner, operation: Any, kind: str) -> None:
    made = okta.ok("POST", "Users", ZOE, 201)
    good = {"op": "replace", "path": "displayName", "value": "changed"}
    status, told = okta.error("PATCH", f"Users/{made['id']}", patch_of(good, operation))
    assert (status, told) == (413 if kind == "tooMany" else 400, kind)
    assert okta.ok("GET", f"Users/{made['id']}") == made


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Operations": [{"op": "add", "path": "displayName", "value": "x"}]},
        {"schemas": [USER], "Operations": [{"op": "add", "path": "displayName", "value": "x"}]},
        {"schemas": [PATCH]},
        {"schemas": [PATCH], "Operations": []},
        {"schemas": [PATCH], "Operations": {}},
    ],
)
def test_what_is_no_patch_is_refused(okta: Provisioner, body: Any) -> None:
    assert okta.error("PATCH", f"Users/{okta.user('zoe')['id']}", body) == (400, "invalidSyntax")


def test_a_put_forgets_what_it_does_not_say_but_not_whether_they_are_out(okta: Provisioner) -> None:
    made = okta.ok("POST", "Users", {**ZOE, "active": False}, 201)
    told = okta.ok("PUT", f"Users/{made['id']}", {"userName": "zoe@example.com"})
    assert "displayName" not in told
    assert told["active"] is False
    assert not person(made).is_active


def test_a_new_userName_keeps_the_name_here(okta: Provisioner) -> None:
    """Locks go by the name, so nobody is renamed out of one."""
    made = okta.user("zoe@example.com")
    told = okta.patch(f"Users/{made['id']}", {"op": "replace", "path": "userName", "value": "zoe.z@example.com"})
    assert told["userName"] == "zoe.z@example.com"
    assert person(made).username == "zoe"
    assert found(okta, 'userName eq "zoe.z@example.com"') == ["zoe.z@example.com"]
    assert found(okta, 'userName eq "zoe@example.com"') == []


def test_versions_are_honoured(okta: Provisioner) -> None:
    made = okta.user("zoe")
    place, old = f"Users/{made['id']}", made["meta"]["version"]
    assert old.startswith('W/"')
    assert okta.send("GET", place, if_none_match=old).status_code == 304
    new = okta.patch(place, {"op": "add", "path": "displayName", "value": "Z"}, if_match=old)["meta"]["version"]
    assert okta.send("GET", place, if_none_match=old).status_code == 200
    for method, body in (
        ("PUT", {"userName": "zoe"}),
        ("PATCH", patch_of({"op": "remove", "path": "name"})),
        ("DELETE", None),
    ):
        for header in (old, '"nothing"', "rubbish"):
            assert okta.error(method, place, body, if_match=header) == (412, "")
    okta.ok("PUT", place, {"userName": "zoe"}, if_match=f'"x", {new}')
    okta.ok("DELETE", place, status=204, if_match="*")


# --- lists ------------------------------------------------------------------------------------------------------------


def test_filters_find_what_they_say_and_refuse_what_they_do_not_know(okta: Provisioner) -> None:
    okta.ok("POST", "Users", ZOE, 201)
    yan = okta.user(
        "yan@example.com", externalId="Y", emails=[{"value": "yan@home.example", "type": "home"}], active=False
    )
    for words, names in {
        'userName eq "ZOE@example.com"': ["zoe@example.com"],
        f'{USER}:userName eq "zoe@example.com"': ["zoe@example.com"],
        'USERNAME EQ "zoe@example.com"': ["zoe@example.com"],
        f'id eq "{yan["id"]}"': ["yan@example.com"],
        'externalId eq "Y"': ["yan@example.com"],
        'externalId eq "y"': [],
        'emails.value eq "YAN@home.example"': ["yan@example.com"],
        'emails eq "yan@home.example"': ["yan@example.com"],
        'emails[type eq "home"].value eq "yan@home.example"': ["yan@example.com"],
        'emails[type eq "work"].value eq "yan@home.example"': [],
        "active eq false": ["yan@example.com"],
        'active eq "True"': ["zoe@example.com"],
        'active eq true and userName eq "zoe@example.com"': ["zoe@example.com"],
        'active eq false and userName eq "zoe@example.com"': [],
        'userName eq "zoe"': [],
        'userName eq "x\\" or id eq \\"y"': [],
    }.items():
        assert found(okta, words) == names, words
    for words in (
        'userName co "z"',
        'userName sw "z"',
        "userName pr",
        'userName eq "a" or userName eq "b"',
        'not (userName eq "a")',
        '(userName eq "a")',
        'title eq "x"',
        "userName eq zoe",
        "userName eq 5",
        'userName eq "a" and',
        'and userName eq "a"',
        'userName eq "a" and and id eq "b"',
        'userName eq "a\\u0000"',
        "active eq 5",
        'emails[type eq "work" and value eq "x"]',
        " and ".join(['id eq "x"'] * 11),
        f'id eq "{"x" * 1000}"',
    ):
        answer = okta.http.get("/scim/v2/Users", {"filter": words}, headers=headers(okta))
        assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidFilter"), words


def headers(client: Provisioner) -> dict[str, str]:
    return {"host": "postern.localhost:8080", "authorization": f"Bearer {client.token}"}


def test_attributes_can_be_chosen(okta: Provisioner) -> None:
    made = okta.ok("POST", "Users", ZOE, 201)
    place = f"Users/{made['id']}"
    assert okta.ok("GET", f"{place}?attributes=userName,name.givenName") == {
        "schemas": [USER],
        "id": made["id"],
        "userName": "zoe@example.com",
        "name": {"givenName": "Zoe"},
    }
    without = okta.ok("GET", f"{place}?excludedAttributes=emails,{USER}:groups,name.familyName,id")
    assert without == {**{k: v for k, v in made.items() if k not in ("emails", "groups")}, "name": {"givenName": "Zoe"}}
    assert [*okta.ok("GET", "Users?attributes=id")["Resources"][0]] == ["schemas", "id"]


def test_a_thousand_users_are_paged_with_few_queries(okta: Provisioner) -> None:
    group = okta.group("everybody")
    rows = [User(username=f"p{number:04}") for number in range(1000)]
    User.objects.bulk_create([_keyed(row) for row in rows])
    Identity.objects.bulk_create(
        Identity(
            user=row,
            connector=okta.connector,
            issuer="scim:okta",
            subject=str(row.pk),
            claims={"userName": row.username, "userNameKey": row.username},
        )
        for row in rows
    )
    okta.patch(
        f"Groups/{group['id']}",
        {"op": "add", "path": "members", "value": [{"value": str(row.pk)} for row in rows]},
        status=204,
    )
    seen: list[str] = []
    counts = set()
    for start in range(1, 1001, 250):
        with CaptureQueriesContext(connection) as queries:
            page = okta.ok("GET", f"Users?startIndex={start}&count=250")
        counts.add(len(queries))
        assert (page["totalResults"], page["itemsPerPage"], page["startIndex"]) == (1000, 250, start)
        assert page["Resources"][0]["groups"][0]["display"] == "everybody"
        seen += [item["userName"] for item in page["Resources"]]
    assert seen == [f"p{number:04}" for number in range(1000)]
    assert max(counts) <= 12, counts
    for words, size in {
        "count=0": 0,
        "count=-1": 0,
        "count=9999": 500,
        "startIndex=-5&count=1": 1,
        "count=x": 100,
    }.items():
        assert okta.ok("GET", f"Users?{words}")["itemsPerPage"] == size
    assert okta.ok("GET", "Users?startIndex=5000")["Resources"] == []
    with CaptureQueriesContext(connection) as queries:
        assert len(okta.ok("GET", f"Groups/{group['id']}")["members"]) == 1000
    assert len(queries) <= 12


def _keyed(row: User) -> User:
    row.username_key = row.username
    return row


# --- who is out -------------------------------------------------------------------------------------------------------

OUT = [
    ("okta", "PATCH", patch_of({"op": "replace", "value": {"active": False}})),
    ("entra", "PATCH", patch_of({"op": "Replace", "path": "active", "value": "False"})),
    ("entra without a path", "PATCH", patch_of({"op": "replace", "value": {"active": "False"}})),
    ("a full path", "PATCH", patch_of({"op": "replace", "path": f"{USER}:active", "value": False})),
    ("keycloak", "PUT", {"userName": "zoe", "active": False}),
    ("put, as a text", "PUT", {"userName": "zoe", "active": "false"}),
    ("with what cannot be done", "PATCH", patch_of({"op": "replace", "value": {"active": False, "displayName": 5}})),
    ("with a bad path", "PATCH", patch_of({"op": "replace", "value": {"active": False, "a b": 5}})),
    ("with a name that gives none", "PUT", {"userName": "", "active": False}),
    ("with somebody's externalId", "PUT", {"userName": "zoe", "externalId": "taken", "active": False}),
    ("gone", "DELETE", None),
]


def at_work(cast: Cast, user: User) -> tuple[str, Any]:
    """A browser, a CLI and an app of somebody who may open it."""
    change(f"{{kind: role_binding, spec: {{role: engineer, user: {user.username}}}}}")
    signed_in(user, LoginSession.Kind.BROWSER)
    actor = signed_in(user)
    issue_app_token(actor.origin, actor.session, "grafana")
    return str(actor.session.pk), user.pk


@pytest.mark.parametrize(("method", "body"), [row[1:] for row in OUT], ids=[row[0] for row in OUT])
def test_who_is_made_inactive_has_nothing_any_more(cast: Cast, okta: Provisioner, method: str, body: Any) -> None:
    okta.user("yan", externalId="taken")
    made = okta.user("zoe")
    session, user_id = at_work(cast, person(made))
    assert subject_now(session) is not None
    okta.send(method, f"Users/{made['id']}", body)
    assert subject_now(session) is None
    assert not LoginSession.objects.filter(user=user_id, ended_at=None).exists()
    assert not AccessSession.objects.filter(user_id=user_id, ended_at=None).exists()
    out = AuditEvent.objects.get(name="user.disabled")
    assert (out.actor_name, out.data["by"], out.resource_name) == ("scim:okta", "scim:okta", "zoe")
    if method == "DELETE":
        assert not User.objects.filter(pk=user_id).exists()
        assert AuditEvent.objects.filter(name="user.deleted", resource_name="zoe").exists()
        assert okta.error("GET", f"Users/{made['id']}") == (404, "")
    else:
        assert okta.ok("GET", f"Users/{made['id']}")["active"] is False
        assert not person(made).is_active


def test_a_refused_request_that_took_somebody_out_says_so(okta: Provisioner) -> None:
    made = okta.user("zoe")
    body = patch_of({"op": "replace", "value": {"active": False, "displayName": 5}})
    response = okta.send("PATCH", f"Users/{made['id']}", body)
    assert response.status_code == 400
    assert b"the user is out all the same" in response.content


def test_a_stale_version_takes_nobody_out(okta: Provisioner) -> None:
    made = okta.user("zoe")
    body = patch_of({"op": "replace", "value": {"active": False}})
    assert okta.error("PATCH", f"Users/{made['id']}", body, if_match='W/"old"') == (412, "")
    assert person(made).is_active


BACK = patch_of({"op": "replace", "path": "active", "value": "True"})


def test_the_client_lets_in_again_whom_it_took_out(okta: Provisioner) -> None:
    made = okta.user("zoe", active=False)
    assert not person(made).is_active
    assert okta.ok("PATCH", f"Users/{made['id']}", BACK)["active"] is True
    assert (person(made).is_active, person(made).disabled_by) == (True, "")


def test_it_does_not_let_in_whom_an_administrator_took_out(cast: Cast, okta: Provisioner) -> None:
    made = okta.user("zoe")
    users.disable_user(cast.adam.origin, cast.adam.subject, "zoe")
    assert okta.ok("PATCH", f"Users/{made['id']}", BACK)["active"] is False
    assert okta.ok("PUT", f"Users/{made['id']}", {"userName": "zoe", "active": True})["active"] is False
    assert not person(made).is_active


def test_it_does_not_let_in_whom_a_directory_took_out(okta: Provisioner) -> None:
    made = okta.user("zoe")
    leavers.take_out(system("test"), person(made), "gone", by="ldap:corp")
    assert okta.ok("PATCH", f"Users/{made['id']}", BACK)["active"] is False


def test_a_name_is_free_again_when_its_user_is_gone(okta: Provisioner) -> None:
    old = okta.user("zoe")
    accounts.set_groups(system("test"), person(old), ["ops"])
    okta.ok("DELETE", f"Users/{old['id']}", status=204)
    new = okta.user("zoe")
    assert new["id"] != old["id"]
    assert not Membership.objects.filter(user=new["id"]).exists()


# --- the account elsewhere --------------------------------------------------------------------------------------------


@pytest.fixture
def linked(cast: Cast) -> Provisioner:
    """A client whose people sign in at an OpenID Provider."""
    spec = OidcSpec("corp", issuer=ISSUER, client_id="postern", mapping=ClaimMapping(username="{{external.sub}}"))
    document = to_document(spec)
    Connector.objects.create(kind="oidc", name="corp", document=document)
    return provisioner(identities_of="corp")


def accounts_of(made: dict[str, Any]) -> list[tuple[str, str]]:
    rows = Identity.objects.filter(user=made["id"], connector__kind="oidc")
    return list(rows.values_list("issuer", "subject"))


def test_who_is_provisioned_is_known_where_they_sign_in(linked: Provisioner) -> None:
    made = linked.user("zoe", externalId="sub-1")
    assert accounts_of(made) == [(ISSUER, "sub-1")]
    session = signed_in(person(made), LoginSession.Kind.BROWSER).session
    LoginSession.objects.filter(pk=session.pk).update(via="oidc:corp")
    linked.patch(f"Users/{made['id']}", {"op": "replace", "path": "displayName", "value": "Z"})
    assert LoginSession.objects.get(pk=session.pk).ended_at is None
    linked.patch(f"Users/{made['id']}", {"op": "replace", "path": "externalId", "value": "sub-2"})
    assert accounts_of(made) == [(ISSUER, "sub-2")]
    assert LoginSession.objects.get(pk=session.pk).ended_reason == "identity-unlinked"
    linked.patch(f"Users/{made['id']}", {"op": "remove", "path": "externalId"})
    assert accounts_of(made) == []
    assert linked.user("yan", externalId="sub-1")
    linked.ok("DELETE", f"Users/{made['id']}", status=204)
    assert Identity.objects.filter(subject="sub-2").count() == 0


def test_an_account_that_is_somebodys_is_not_taken_over(cast: Cast, linked: Provisioner) -> None:
    corp = Connector.objects.get(name="corp")
    Identity.objects.create(user=cast.alice.user, connector=corp, issuer=ISSUER, subject="alices")
    assert linked.error("POST", "Users", {"userName": "zoe", "externalId": "alices"}) == (409, "uniqueness")
    assert not User.objects.filter(username="zoe").exists()
    made = linked.user("zoe", externalId="sub-1")
    body = {"userName": "zoe", "externalId": "alices"}
    assert linked.error("PUT", f"Users/{made['id']}", body) == (409, "uniqueness")
    assert accounts_of(made) == [(ISSUER, "sub-1")]
    assert Identity.objects.get(subject="alices").user == cast.alice.user


def test_a_provider_that_is_not_there_makes_nobody_but_keeps_nobody_in(linked: Provisioner) -> None:
    made = linked.user("zoe", externalId="sub-1")
    Connector.objects.filter(name="corp").delete()
    assert linked.error("POST", "Users", {"userName": "yan", "externalId": "2"}) == (400, "invalidValue")
    assert linked.ok("PATCH", f"Users/{made['id']}", OUT[0][2])["active"] is False


# --- at the same time -------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_patches_at_once_are_both_done(transactional_db: None) -> None:
    okta = provisioner()
    made = okta.user("zoe")
    results: list[int] = []

    def patch(path: str, value: str) -> None:
        try:
            one = Provisioner(okta.connector, okta.token)
            body = patch_of({"op": "replace", "path": path, "value": value})
            results.append(one.send("PATCH", f"Users/{made['id']}", body).status_code)
        finally:
            connections.close_all()

    work = [("displayName", "Z"), ("externalId", "7"), ("name.givenName", "Zoe"), ("active", "False")]
    threads = [threading.Thread(target=patch, args=words) for words in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [200] * 4
    now = okta.ok("GET", f"Users/{made['id']}")
    assert (now["displayName"], now["externalId"], now["name"], now["active"]) == (
        "Z",
        "7",
        {"givenName": "Zoe"},
        False,
    )
