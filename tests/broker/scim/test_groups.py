"""Groups as clients keep them: who gets in by them, who is out at once, and which groups are not theirs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Connector, Group, Identity, Membership, ProvisionedGroup, User
from accounts.services.users import create_group, set_groups
from broker import live
from broker.audit.origin import system
from broker.documents import ScimSpec, to_document
from broker.models import AuditEvent, Binding
from broker.policy import Attempt, Context
from broker.policy.attempt import APP_REQUEST
from broker.scim import views
from broker.scim.door import body_of
from broker.scim.words import GROUP
from broker.services.decisions import subject_now
from tests.broker.cast import Cast, change, signed_in
from tests.broker.scim.conftest import Provisioner, patch_of, provisioner

ROOT = system("test")


def inside(name: str, source: str = "scim:okta") -> set[str]:
    rows = Membership.objects.filter(group__name=name, source=source)
    return set(rows.values_list("user__username", flat=True))


def adding(*users: dict[str, Any]) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": [{"value": user["id"]} for user in users]}


# --- which groups are not theirs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ops", "OPS", " ops "])
def test_a_local_group_is_not_filled_by_a_client_that_was_not_given_it(okta: Provisioner, name: str) -> None:
    zoe = okta.user("zoe")
    body = {"displayName": name, "members": [{"value": zoe["id"]}]}
    assert okta.error("POST", "Groups", body) == (403, "")
    assert inside("ops") == set()
    mine = okta.group("mine", zoe)
    place = f"Groups/{mine['id']}"
    assert okta.error("PUT", place, {"displayName": name}) == (403, "")
    renamed = patch_of({"op": "replace", "path": "displayName", "value": name})
    assert okta.error("PATCH", place, renamed) == (403, "")
    assert inside("ops") == set()
    assert inside("mine") == {"zoe"}


def test_a_client_with_patterns_keeps_what_they_match_and_nothing_else(cast: Cast) -> None:
    okta = provisioner(groups=("ops", "team-*"))
    zoe = okta.user("zoe")
    okta.group("ops", zoe)
    okta.group("Team-Red", zoe)
    for name in ("admins", "ops2", "xteam-blue"):
        assert okta.error("POST", "Groups", {"displayName": name}) == (403, "")
    assert inside("ops") == {"zoe"}
    assert inside("ops", "local") == {"alice"}
    assert inside("team-red") == {"zoe"}


@pytest.mark.parametrize("left", [["team-*"], None], ids=["others", "none"])
def test_a_pattern_that_was_taken_away_lets_nobody_else_in_but_everybody_out(
    cast: Cast, left: list[str] | None
) -> None:
    okta = provisioner(groups=("ops",))
    zoe, yan = okta.user("zoe"), okta.user("yan")
    place = f"Groups/{okta.group('ops', zoe)['id']}"
    del okta.connector.document["spec"]["groups"]
    if left:
        okta.connector.document["spec"]["groups"] = left
    okta.connector.save()
    assert okta.error("PATCH", place, patch_of(adding(yan))) == (403, "")
    okta.patch(place, {"op": "remove", "path": "members"}, status=204)
    assert inside("ops") == set()
    assert okta.error("PATCH", place, patch_of(adding(zoe))) == (403, "")


def test_what_an_administrator_takes_from_a_client_counts_for_a_request_under_way(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    okta = provisioner(groups=("ops",))
    zoe = okta.user("zoe")
    place = f"Groups/{okta.group('ops')['id']}"

    def slow(request: Any) -> Any:
        Connector.objects.update(document=to_document(ScimSpec("okta", groups=("team-*",))))
        return body_of(request)

    monkeypatch.setattr(views, "body_of", slow)
    assert okta.error("PATCH", place, patch_of(adding(zoe))) == (503, "")
    assert inside("ops") == set()


def test_the_longest_name_of_a_connector_fits_everywhere(cast: Cast) -> None:
    okta = provisioner("o" * 63)
    zoe = okta.user("zoe")
    okta.group("mine", zoe)
    assert inside("mine", f"scim:{'o' * 63}") == {"zoe"}
    okta.ok("DELETE", f"Users/{zoe['id']}", status=204)


def test_groups_of_others_are_invisible(cast: Cast, okta: Provisioner) -> None:
    theirs = provisioner("entra").group("theirs")
    local = Group.objects.get(name="ops")
    for ident in (theirs["id"], str(local.pk), "x", "%00"):
        for method, body in (
            ("GET", None),
            ("PUT", {"displayName": "x"}),
            ("PATCH", patch_of({"op": "remove", "path": "members"})),
            ("DELETE", None),
        ):
            assert okta.error(method, f"Groups/{ident}", body) == (404, "")
    assert okta.ok("GET", "Groups")["totalResults"] == 0
    assert okta.error("POST", "Groups", {"displayName": "theirs"}) == (403, "")
    assert Group.objects.filter(name="theirs").exists()


def test_only_a_clients_own_users_can_be_members(cast: Cast, okta: Provisioner) -> None:
    theirs = provisioner("entra").user("yan")
    mine = okta.group("mine")
    for ident in (str(cast.alice.user.pk), theirs["id"], "nobody", "x" * 65):
        member = {"value": ident}
        assert okta.error("POST", "Groups", {"displayName": "new", "members": [member]}) == (400, "invalidValue")
        body = patch_of({"op": "add", "path": "members", "value": [member]})
        assert okta.error("PATCH", f"Groups/{mine['id']}", body) == (400, "invalidValue")
    assert not Group.objects.filter(name="new").exists()
    assert Membership.objects.filter(source__startswith="scim:").count() == 0


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "invalidValue"),
        ({"displayName": ""}, "invalidValue"),
        ({"displayName": "Engineering Team"}, "invalidValue"),
        ({"displayName": "x" * 33}, "invalidValue"),
        ({"displayName": "ｏps"}, "invalidValue"),
        ({"displayName": "grüppe"}, "invalidValue"),
        ({"displayName": 5}, "invalidValue"),
        ({"displayName": "new", "members": "zoe"}, "invalidValue"),
        ({"displayName": "new", "members": [{}]}, "invalidValue"),
        ({"displayName": "new", "members": [{"value": "x", "type": "Group"}]}, "invalidValue"),
        ({"displayName": "new", "externalId": 5}, "invalidValue"),
    ],
)
def test_a_group_that_cannot_be_is_refused_with_words(okta: Provisioner, body: Any, kind: str) -> None:
    assert okta.error("POST", "Groups", body) == (400, kind)
    assert not ProvisionedGroup.objects.exists()


def test_more_members_than_are_taken_at_once_are_refused(okta: Provisioner) -> None:
    members = [{"value": str(number)} for number in range(10_001)]
    assert okta.error("POST", "Groups", {"displayName": "big", "members": members}) == (413, "tooMany")


# --- who gets in, and who is out at once ------------------------------------------------------------------------------


def may_open(session: str) -> bool:
    now = live.current()
    app = now.app_named("grafana")
    subject = subject_now(session, now)
    assert app is not None
    assert subject is not None
    attempt = Attempt(subject, APP_REQUEST, app.resource, Context(time.time(), ""), "", "GET", "/")
    return now.decide(attempt).permitted


PUT_OUT = [
    ("okta", "PATCH", lambda u: patch_of({"op": "remove", "path": f'members[value eq "{u}"]'})),
    ("entra", "PATCH", lambda u: patch_of({"op": "Remove", "path": "members", "value": [{"value": u}]})),
    ("all", "PATCH", lambda u: patch_of({"op": "remove", "path": "members"})),
    ("replace", "PATCH", lambda u: patch_of({"op": "replace", "path": "members", "value": []})),
    ("replace without a path", "PATCH", lambda u: patch_of({"op": "replace", "value": {"members": []}})),
    ("keycloak", "PUT", lambda u: {"displayName": "Engineers", "members": []}),
    ("renamed", "PUT", lambda u: {"displayName": "others", "members": [{"value": u}]}),
    ("gone", "DELETE", lambda u: None),
]


@pytest.mark.parametrize(("method", "body"), [row[1:] for row in PUT_OUT], ids=[row[0] for row in PUT_OUT])
def test_who_leaves_a_group_loses_what_it_gives_at_once(cast: Cast, okta: Provisioner, method: str, body: Any) -> None:
    zoe = okta.user("zoe")
    session = str(signed_in(User.objects.get(username="zoe")).session.pk)
    made = okta.group("Engineers")
    change("{kind: role_binding, spec: {role: engineer, group: engineers}}")
    assert not may_open(session)
    okta.patch(f"Groups/{made['id']}", adding(zoe), status=204)
    assert may_open(session)
    response = okta.send(method, f"Groups/{made['id']}", body(zoe["id"]))
    assert response.status_code in (200, 204), response.content
    assert not may_open(session)
    assert inside("engineers") == set()
    gone = AuditEvent.objects.filter(name="group.member.removed", resource_name="engineers").get()
    assert (gone.actor_kind, gone.actor_name, gone.data["user_name"]) == ("connector", "scim:okta", "zoe")


def joins(who: str) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": [{"value": who}]}


def goes(who: str) -> dict[str, Any]:
    return {"op": "remove", "path": f'members[value eq "{who}"]'}


EVERYBODY_GOES = {"op": "remove", "path": "members"}
PATCHES: list[tuple[str, list[dict[str, Any]], set[str]]] = [
    ("one more", [joins("Y")], {"zoe", "yan"}),
    ("one more, without a path", [{"op": "add", "value": {"members": [{"value": "Y"}]}}], {"zoe", "yan"}),
    ("one more, as an object", [{"op": "Add", "path": "members", "value": {"value": "Y"}}], {"zoe", "yan"}),
    ("one that is in already", [joins("Z")], {"zoe"}),
    ("others instead", [{**joins("Y"), "op": "replace"}], {"yan"}),
    ("in and out", [joins("Y"), goes("Y")], {"zoe"}),
    ("out and in", [goes("Z"), joins("Z")], {"zoe"}),
    ("all out, one in", [EVERYBODY_GOES, joins("Y")], {"yan"}),
    ("one in, all out", [joins("Y"), EVERYBODY_GOES], set()),
    ("one out who is not in", [goes("Y")], {"zoe"}),
    ("one out whom nobody knows", [goes("x")], {"zoe"}),
    ("nobody out", [{**EVERYBODY_GOES, "value": []}], {"zoe"}),
    ("a full path", [{**joins("Y"), "path": f"{GROUP}:members"}], {"zoe", "yan"}),
    ("capitals in an id", [goes("UPPER")], set()),
]


@pytest.mark.parametrize(("operations", "members"), [p[1:] for p in PATCHES], ids=[p[0] for p in PATCHES])
def test_a_patch_of_members_does_what_it_says(okta: Provisioner, operations: Any, members: set[str]) -> None:
    zoe, yan = okta.user("zoe"), okta.user("yan")
    made = okta.group("mine", zoe)
    words = {"Z": zoe["id"], "Y": yan["id"], "UPPER": zoe["id"].upper()}
    response = okta.send("PATCH", f"Groups/{made['id']}", patch_of(*filled(operations, words)))
    assert (response.status_code, response.content) == (204, b"")
    assert inside("mine") == members
    now = okta.ok("GET", f"Groups/{made['id']}")
    assert {member["display"] for member in now["members"]} == members
    assert response.headers["ETag"] == now["meta"]["version"]
    assert (now["meta"]["version"] == made["meta"]["version"]) == (members == {"zoe"})


def filled(value: Any, words: dict[str, str]) -> Any:
    match value:
        case dict():
            return {key: filled(item, words) for key, item in value.items()}
        case list():
            return [filled(item, words) for item in value]
        case str() if value.startswith("members["):
            for key, ident in words.items():
                value = value.replace(f'"{key}"', f'"{ident}"')
            return value
        case str():
            return words.get(value, value)
        case _:
            return value


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
        ({"op": "remove", "path": "displayName"}, "mutability"),
        ({"op": "replace", "path": "displayName", "value": "Not A Name"}, "invalidValue"),
        ({"op": "remove", "path": 'members[display eq "zoe"]'}, "invalidPath"),
        ({"op": "remove", "path": "members.value"}, "invalidPath"),
        ({"op": "remove", "path": "members[value co 1]"}, "invalidPath"),
        ({"op": "add", "path": "members", "value": "zoe"}, "invalidValue"),
    ],
)
def test_a_patch_that_cannot_be_done_changes_nothing(okta: Provisioner, operation: Any, kind: str) -> None:
    made = okta.group("mine", okta.user("zoe"))
    good = {"op": "replace", "path": "externalId", "value": "7"}
    assert okta.error("PATCH", f"Groups/{made['id']}", patch_of(good, operation)) == (400, kind)
    assert okta.ok("GET", f"Groups/{made['id']}") == made


# --- what becomes of groups -------------------------------------------------------------------------------------------


def test_a_group_comes_back_as_it_was_sent(okta: Provisioner) -> None:
    zoe = okta.user("zoe@example.com")
    made = okta.group("Team_Red", zoe, externalId="g1", schemas=[GROUP])
    place = "http://postern.localhost:8080/scim/v2"
    assert (made["displayName"], made["externalId"], made["meta"]["resourceType"]) == ("Team_Red", "g1", "Group")
    assert made["members"] == [
        {"value": zoe["id"], "display": "zoe", "$ref": f"{place}/Users/{zoe['id']}", "type": "User"}
    ]
    assert Group.objects.filter(name="team_red").exists()
    ref = f"{place}/Groups/{made['id']}"
    now = okta.ok("GET", f"Users/{zoe['id']}")
    assert now["groups"] == [{"value": made["id"], "display": "Team_Red", "$ref": ref, "type": "direct"}]
    assert now["meta"]["version"] != zoe["meta"]["version"]
    assert okta.error("POST", "Groups", {"displayName": "team_RED"}) == (409, "uniqueness")
    assert okta.error("POST", "Groups", {"displayName": "blue", "externalId": "g1"}) == (409, "uniqueness")


def test_renaming_moves_the_people_and_leaves_what_the_old_group_gives(cast: Cast, okta: Provisioner) -> None:
    made = okta.group("red", okta.user("zoe"))
    change("{kind: role_binding, spec: {role: engineer, group: red}}")
    body = {"op": "replace", "value": {"id": made["id"], "displayName": "Blue"}}
    okta.patch(f"Groups/{made['id']}", body, status=204)
    assert inside("blue") == {"zoe"}
    assert not Group.objects.filter(name="red").exists()
    assert not Binding.objects.filter(role__name="engineer", group__name="blue").exists()
    okta.patch(f"Groups/{made['id']}", {"op": "replace", "path": "displayName", "value": "BLUE"}, status=204)
    assert okta.ok("GET", f"Groups/{made['id']}")["displayName"] == "BLUE"
    assert inside("blue") == {"zoe"}


def test_a_group_goes_with_its_client_only_if_nobody_else_is_in_it(cast: Cast, okta: Provisioner) -> None:
    zoe = okta.user("zoe")
    empty, shared = okta.group("empty", zoe), okta.group("shared", zoe)
    set_groups(ROOT, cast.alice.user, ["ops", "shared"])
    for made in (empty, shared):
        okta.ok("DELETE", f"Groups/{made['id']}", status=204)
        assert okta.error("GET", f"Groups/{made['id']}") == (404, "")
    assert not Group.objects.filter(name="empty").exists()
    assert inside("shared", "local") == {"alice"}
    assert inside("shared") == set()


def test_a_local_group_that_was_given_to_a_client_stays(cast: Cast) -> None:
    create_group(ROOT, "given")
    okta = provisioner(groups=("given",))
    made = okta.group("given", okta.user("zoe"))
    okta.ok("DELETE", f"Groups/{made['id']}", status=204)
    assert Group.objects.filter(name="given").exists()
    assert inside("given") == set()


def test_a_group_that_was_removed_here_is_gone_for_the_client(okta: Provisioner) -> None:
    made = okta.group("mine")
    change("{kind: group, metadata: {name: other}}")
    Group.objects.filter(name="mine").delete()
    assert okta.error("GET", f"Groups/{made['id']}") == (404, "")
    okta.group("mine")


def test_taking_the_last_administrator_out_of_a_group_is_loud(cast: Cast, caplog: pytest.LogCaptureFixture) -> None:
    okta = provisioner(groups=("*",))
    zoe = okta.user("zoe")
    made = okta.group("bosses", zoe)
    change("{kind: role_binding, spec: {role: administrator, group: bosses}}")
    User.objects.filter(username="zoe").update(password="argon2$of-zoe")
    change("{kind: user, metadata: {name: adam}}")
    Binding.objects.filter(role__name="administrator", user__username="adam").delete()
    okta.patch(f"Groups/{made['id']}", {"op": "remove", "path": "members"}, status=204)
    assert AuditEvent.objects.get(name="user.last_administrator.out").resource_name == "zoe"
    assert "zoe was the last administrator" in caplog.text


def test_groups_are_found_by_name_id_and_member(okta: Provisioner) -> None:
    zoe = okta.user("zoe")
    red, blue = okta.group("Red", zoe, externalId="r"), okta.group("Blue")
    for words, names in {
        'displayName eq "red"': ["Red"],
        'externalId eq "r"': ["Red"],
        f'id eq "{blue["id"]}"': ["Blue"],
        f'members eq "{zoe["id"]}"': ["Red"],
        f'members.value eq "{zoe["id"]}" and id eq "{red["id"]}"': ["Red"],
        f'members eq "{zoe["id"]}" and id eq "{blue["id"]}"': [],
        'members eq "x"': [],
        'id eq "x"': [],
        'displayName eq ""': [],
        "": ["Red", "Blue"],
    }.items():
        asked = {"filter": words, "excludedAttributes": "members"}
        headers = {"host": "postern.localhost:8080", "authorization": f"Bearer {okta.token}"}
        told = okta.http.get("/scim/v2/Groups", asked, headers=headers).json()
        assert [item["displayName"] for item in told["Resources"]] == names, words
        assert all("members" not in item for item in told["Resources"])
    assert okta.ok("GET", "Groups?startIndex=2&count=1")["Resources"][0]["displayName"] == "Blue"


def test_versions_of_groups_are_honoured(okta: Provisioner) -> None:
    zoe = okta.user("zoe")
    made = okta.group("mine", zoe)
    place, old = f"Groups/{made['id']}", made["meta"]["version"]
    assert okta.send("GET", place, if_none_match=old).status_code == 304
    okta.patch(place, {"op": "remove", "path": "members"}, status=204, if_match=old)
    for method, body in (("PUT", {"displayName": "x"}), ("PATCH", patch_of(adding(zoe))), ("DELETE", None)):
        assert okta.error(method, place, body, if_match=old) == (412, "")
    okta.patch(place, adding(zoe), status=204)
    before = okta.ok("GET", place)["meta"]["version"]
    okta.ok("DELETE", f"Users/{zoe['id']}", status=204)
    assert okta.ok("GET", place)["meta"]["version"] != before


def test_ten_thousand_members_come_in_at_once(cast: Cast, okta: Provisioner) -> None:
    made = okta.group("everybody")
    rows = [User(username=f"p{number}", username_key=f"p{number}") for number in range(10_000)]
    User.objects.bulk_create(rows)
    Identity.objects.bulk_create(
        Identity(user=row, connector=okta.connector, issuer="scim:okta", subject=str(row.pk), claims={}) for row in rows
    )
    members = [{"value": str(row.pk), "display": row.username, "type": "User", "$ref": "x"} for row in rows]
    with CaptureQueriesContext(connection) as queries:
        okta.patch(f"Groups/{made['id']}", {"op": "add", "path": "members", "value": members}, status=204)
    assert Membership.objects.filter(source="scim:okta").count() == 10_000
    assert len(queries) < 250
    okta.patch(f"Groups/{made['id']}", {"op": "replace", "path": "members", "value": []}, status=204)
    assert not Membership.objects.filter(source="scim:okta").exists()
