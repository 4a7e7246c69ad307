"""The pages of connectors and the claim inspector: what they show, what they ask, and what they never show."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import connectors
from accounts.directory import extra
from accounts.models import Connector, Identity, LoginSession, Membership, User
from accounts.names import group_name
from accounts.services.identities import plain
from accounts.services.users import set_groups
from broker.audit.origin import system
from broker.console.queries.connectors import stranded
from broker.console.queries.identities import REMOVED, inspected, shown_claims
from broker.console.yaml_text import version_of
from broker.models import AuditEvent
from broker.policy.claims import flatten, map_claims
from tests.broker.cast import Cast, change
from tests.broker.console.browser import Browser, words

CANARY = "canary-51be-client-secret"
HOSTILE = "<script>alert('x')</script>\u202e{{external.x}}"
DOCUMENTS = f"""
kind: oidc
metadata: {{name: corp, description: the staff}}
spec:
  issuer: http://127.0.0.1:9
  client_id: postern
  client_secret: {CANARY}
  display: Corp account
  groups:
    - {{claim: groups, value: 'dev-*', groups: [developers]}}
    - {{claim: department, groups: ['{{{{external.department}}}}']}}
  traits: {{logins: ['{{{{external.preferred_username}}}}']}}
  create_users: {{groups: [developers]}}
---
kind: ldap
metadata: {{name: directory}}
spec:
  urls: ['ldap://127.0.0.1:9']
  bind_dn: cn=postern,dc=example
  bind_password: {CANARY}
  user_search: {{base: 'dc=example'}}
---
{{kind: scim, metadata: {{name: office}}, spec: {{identities_of: corp}}}}
"""
CLAIMS: dict[str, Any] = {
    "preferred_username": "charlie",
    "name": HOSTILE,
    "email": "charlie@example.com",
    "groups": ["dev-web", "Ops"],
    "department": HOSTILE,
    "realm_access": {"roles": ["a"], "session_token": CANARY},
    "access_token": CANARY,
    "custom": f"eyJhbGciOiJub25lIn0.{CANARY}.x",
    "api_key": CANARY,
    "password": CANARY,
}


@pytest.fixture
def world(cast: Cast) -> Cast:
    """The connectors, and charlie, who came by corp."""
    change(DOCUMENTS)
    came("charlie", CLAIMS)
    return cast


def came(name: str, claims: dict[str, Any], connector: str = "corp") -> Identity:
    """Somebody who came by a connector, as it was set up then."""
    row = Connector.objects.get(name=connector)
    spec = connectors.oidc_spec(row)
    outcome = map_claims(spec.mapping, flatten(claims), group_name)
    user = User.objects.get(username=name)
    set_groups(system("test"), user, outcome.groups, source=row.source)
    return Identity.objects.create(
        user=user,
        connector=row,
        issuer=spec.issuer,
        subject=f"sub-{name}",
        claims=claims,
        traits={trait: list(texts) for trait, texts in outcome.traits.items()},
        outcome=plain(outcome),
        last_seen_at=timezone.now(),
    )


def new_mapping(text: str) -> None:
    """Apply the provider with another rule for developers."""
    kept = Connector.objects.get(name="corp").document["spec"]["client_secret"]
    change(DOCUMENTS.split("---")[0].replace(CANARY, kept).replace("value: 'dev-*'", text))


# --- what is never shown ----------------------------------------------------------------------------------------------


def test_no_page_shows_a_secret_to_anybody(world: Cast) -> None:
    """R06: secrets planted in every field, claims with tokens in them; every page that has to do with them."""
    pages = [
        "/console/connectors", "/console/connectors/new", "/console/connectors/new?kind=oidc", "/console/events",
        "/console/connectors/new?kind=ldap", "/console/connectors/new?kind=scim", "/console/users/charlie",
        "/console/users/charlie/identities", "/console/search?q=corp",
    ]  # fmt: skip
    for name in ("corp", "directory", "office"):
        pages += [f"/console/connectors/{name}{part}" for part in ("", "/edit", "/disable", "/delete")]
    pages += ["/console/connectors/directory/try", "/console/connectors/office/token"]
    seen = 0
    for who in ("adam", "audrey"):
        browser = Browser(who)
        for path in pages:
            response = browser.get(path)
            seen += response.status_code == 200
            assert CANARY not in response.content.decode(), (who, path)
    assert seen > 20


def test_what_was_typed_wrong_is_not_quoted_if_it_is_a_secret(world: Cast) -> None:
    """R06: the summary of what is wrong quotes lines, but none with a secret."""
    text = (
        f"kind: oidc\nmetadata: {{name: corp}}\nspec:\n  issuer: x\n  client_id: a\n  client_secret: 'kept:{CANARY}'\n"
    )
    response = Browser("adam").post("/console/connectors/corp/edit", text=text, do="save")
    page = response.content.decode()
    summary = page.partition("error-summary")[2].partition("</ul>")[0]
    assert response.status_code == 422
    assert CANARY not in summary


def test_the_form_does_not_give_a_secret_back(world: Cast) -> None:
    response = Browser("adam").post(
        "/console/connectors/new", kind="oidc", name="other", issuer="ftp://x", client_id="a", client_secret=CANARY
    )
    assert response.status_code == 200
    assert "must begin with https://" in words(response)
    assert CANARY not in response.content.decode()


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("access_token", "x", REMOVED),
        ("id_token", "x", REMOVED),
        ("userPassword", ["x"], REMOVED),
        ("unicodePwd", "x", REMOVED),
        ("client_secret", {"a": "b"}, REMOVED),
        ("at_hash", "x", REMOVED),
        ("nonce", "x", REMOVED),
        ("nested", {"refresh_token": "x", "ok": "y"}, f"refresh_token: {REMOVED}; ok: y"),
        ("free", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", REMOVED),
        ("free", ["a", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0."], f"a, {REMOVED}"),
        ("free", "Bearer ptn_cli_0123456789abcdefghij", REMOVED),
        ("free", "-----BEGIN PRIVATE KEY-----", REMOVED),
        ("monkey", "x", "x"),
        ("keyboard", True, "true"),
        ("zip", 7, "7"),
        ("gone", None, "(null)"),
        ("none", [], "(empty)"),
        ("long", "x" * 600, "x" * 500 + "… (600 characters)"),
    ],
)
def test_claims_are_shown_without_what_is_or_sounds_like_a_secret(name: str, value: Any, shown: str) -> None:
    assert shown_claims({name: value}) == {name: shown}


# --- the claim inspector ----------------------------------------------------------------------------------------------


def test_the_inspector_shows_each_rule_and_why_it_gave_nothing(world: Cast) -> None:
    page = words(Browser("adam").get("/console/users/charlie/identities"))
    assert "sub-charlie" in page
    assert "claim groups = dev-*: developers" in page
    assert "no name of a group" in page
    assert "trait logins: {{external.preferred_username}}" in page
    assert "groups dev-web, Ops" in page
    assert f"access_token {REMOVED}" in page
    assert "The mapping was changed since" not in page


def test_the_inspector_shows_what_an_edited_mapping_would_give(world: Cast) -> None:
    new_mapping("value: 'Ops'")
    identity = Identity.objects.get()
    one = inspected(identity)
    assert one.differs
    assert [(bool(f.then), bool(f.now), f.differs) for f in one.rules] == [
        (False, True, True),
        (True, True, False),
        (True, True, False),
        (True, False, True),
    ]
    page = words(Browser("adam").get("/console/users/charlie/identities"))
    assert "The mapping was changed since" in page
    assert "claim groups = Ops: developers" in page
    assert "claim groups = dev-*: developers" in page
    new_mapping("value: 'nothing'")
    now = {row.name: (row.then, row.now) for row in inspected(Identity.objects.get()).particulars}
    assert now["Groups"] == ("developers", "")
    assert "developers → none" in words(Browser("adam").get("/console/users/charlie/identities"))
    assert Membership.objects.filter(
        user__username="charlie", group__name="developers"
    ).exists()  # looking is not doing


@pytest.mark.parametrize("outcome", [{}, None, [], {"rules": 7}, {"username": None}, "text"])
def test_an_outcome_that_cannot_be_read_counts_as_none(world: Cast, outcome: Any) -> None:
    Identity.objects.update(outcome=outcome if outcome is not None else {})
    assert Browser("adam").get("/console/users/charlie/identities").status_code == 200


def test_a_damaged_connector_does_not_take_the_inspector_along(world: Cast) -> None:
    Connector.objects.filter(name="corp").update(document={"kind": "oidc"})
    connectors.forget()
    assert "cannot be read" in words(Browser("adam").get("/console/users/charlie/identities"))
    assert "cannot be read" in words(Browser("adam").get("/console/connectors"))
    assert "cannot be read" in words(Browser("adam").get("/console/connectors/corp"))


def test_hostile_claims_are_inert(world: Cast) -> None:
    """X09: scripts, a mark that turns the line around, and a template, as claims, groups and names."""
    for path in ("/console/users/charlie/identities", "/console/connectors/corp", "/console/users/charlie"):
        page = Browser("adam").text(path)
        assert "<script>alert" not in page
        assert "\u202e" not in page


def test_many_claims_and_values_do_not_make_an_endless_page(world: Cast) -> None:
    Identity.objects.update(claims={f"claim-{at}": ["x" * 300] * 50 for at in range(1000)})
    page = Browser("adam").text("/console/users/charlie/identities")
    assert "and 800 more" in page
    assert len(page) < 300_000


def test_unlinking_asks_first_and_names_what_it_costs(world: Cast) -> None:
    identity = Identity.objects.get()
    LoginSession.objects.filter(pk=world.charlie.session.pk).update(via="oidc:corp")
    address = f"/console/users/charlie/identities/{identity.pk}/unlink"
    adam = Browser("adam")
    asked = words(adam.get(address))
    assert "ends 1 open session" in asked
    assert "takes 1 group membership that it gave" in asked
    assert "charlie has no other way in" in asked
    assert Identity.objects.exists()
    adam.post(address)
    assert Identity.objects.exists(), "nothing happens without the confirmation"
    adam.post(address, confirm="yes")
    assert not Identity.objects.exists()
    assert not Membership.objects.filter(source="oidc:corp").exists()
    assert LoginSession.objects.get(pk=world.charlie.session.pk).ended_reason == "identity-unlinked"
    assert AuditEvent.objects.get(name="user.identity.unlinked").actor_name == "adam"
    assert User.objects.get(username="charlie").is_active


def test_an_identity_is_found_on_its_own_users_page_only(world: Cast) -> None:
    identity = Identity.objects.get()
    adam = Browser("adam")
    assert adam.get(f"/console/users/bob/identities/{identity.pk}/unlink").status_code == 404
    assert adam.post(f"/console/users/bob/identities/{identity.pk}/unlink", confirm="yes").status_code == 404
    assert Identity.objects.exists()


def test_who_comes_by_a_connector_has_a_way_in(world: Cast) -> None:
    """The list of users does not call them without one, as long as the connector is on."""
    adam = Browser("adam")
    assert "charlie" in words(adam.get("/console/users", state="no-mfa"))
    assert "charlie" not in words(adam.get("/console/users", state="pending"))
    Connector.objects.update(enabled=False)
    assert "charlie" in words(adam.get("/console/users", state="pending"))


# --- the list and the pages -------------------------------------------------------------------------------------------


def test_the_list_says_how_each_is_and_who_came(world: Cast) -> None:
    Connector.objects.filter(name="directory").update(
        problem="directory does not answer: connection refused", checked_at=timezone.now()
    )
    LoginSession.objects.filter(pk=world.bob.session.pk).update(via="oidc:corp")
    page = words(Browser("audrey").get("/console/connectors"))
    assert "does not answer: connection refused" in page
    assert "Corp account" in page
    assert "it has no token yet" in page
    assert "Connect one" not in page
    assert "corp" not in words(Browser("adam").get("/console/connectors", kind="ldap")).partition("results")[2]
    assert "No connector matches" in words(Browser("adam").get("/console/connectors", q="nothing"))


def test_administrators_are_told_on_every_page_that_a_connector_is_in_trouble(world: Cast) -> None:
    """L28: while it lasts, and nobody else; a connector that is off is no trouble."""
    began = timezone.now() - timedelta(hours=3)
    Connector.objects.filter(name="directory").update(problem="does not answer", failing_since=began)
    for path in ("/console/users", "/", "/console/connectors/directory"):
        page = words(Browser("adam").get(path))
        assert re.search(r"ldap:directory : does not answer, since 3 h ago ?\. Nobody new can come in", page), page
    assert "does not answer" not in words(Browser("alice").get("/"))
    Connector.objects.filter(name="directory").update(enabled=False)
    assert "does not answer" not in words(Browser("adam").get("/"))


def test_a_page_has_the_addresses_that_the_other_side_needs(world: Cast) -> None:
    page = Browser("adam").text("/console/connectors/corp")
    for path in ("/oidc/corp/callback", "/oidc/corp/backchannel-logout", "/sign-in"):
        assert f"http://postern.localhost:8080{path}<" in page
    assert "http://postern.localhost:8080/scim/v2<" in Browser("adam").text("/console/connectors/office")
    assert "charlie" in page
    assert "get an account if they are in developers" in words(Browser("adam").get("/console/connectors/corp"))


def test_an_auditor_sees_how_a_connector_is_set_and_no_button(world: Cast) -> None:
    page = Browser("audrey").text("/console/connectors/corp")
    assert "http://127.0.0.1:9" in page
    for word in ("/edit", "/test", "/disable", "/delete", "/token", "sub-charlie"):
        assert f"connectors/corp{word}" not in page
    assert "sub-charlie" not in page, "people are for who may list users"


def test_pages_ask_the_database_little(world: Cast) -> None:
    adam = Browser("adam")
    for path, most in (
        ("/console/connectors", 9),
        ("/console/connectors/corp", 10),
        ("/console/users/charlie/identities", 10),
    ):
        adam.text(path)
        with CaptureQueriesContext(connection) as queries:
            adam.text(path)
        asked = [query["sql"] for query in queries if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]
        assert len(asked) <= most, "\n".join(asked)


# --- making, switching, deleting --------------------------------------------------------------------------------------


def test_a_provider_is_made_by_its_form_switched_off_at_first(world: Cast) -> None:
    response = Browser("adam").post(
        "/console/connectors/new",
        kind="oidc",
        name="google",
        display="Google",
        issuer="https://accounts.google.com",
        client_id="123.apps.googleusercontent.com",
        client_secret="a-secret",
        username="{{email.local(external.email)}}",
        groups="groups = eng-*: engineers, {{external.groups}}\nhd: staff\nhttps://x.example/roles = admin: admins",
        create="some",
        create_domains="example.com, example.org",
        factor_amr="mfa hwk",
    )
    assert response.status_code == 302, words(response)
    row = Connector.objects.get(name="google")
    assert (row.enabled, row.secret) == (False, "a-secret")
    assert {key: value for key, value in row.document["spec"].items() if key != "client_secret"} == {
        "issuer": "https://accounts.google.com",
        "client_id": "123.apps.googleusercontent.com",
        "display": "Google",
        "second_factor": {"amr": ["mfa", "hwk"]},
        "enabled": False,
        "username": "{{email.local(external.email)}}",
        "groups": [
            {"claim": "groups", "value": "eng-*", "groups": ["engineers", "{{external.groups}}"]},
            {"claim": "hd", "groups": ["staff"]},
            {"claim": "https://x.example/roles", "value": "admin", "groups": ["admins"]},
        ],
        "create_users": {"email_domains": ["example.com", "example.org"]},
    }


def test_a_directory_and_a_client_are_made_by_their_forms(world: Cast) -> None:
    adam = Browser("adam")
    response = adam.post(
        "/console/connectors/new",
        kind="ldap",
        name="ad",
        schema="active-directory",
        urls="ldaps://dc1.example.com ldaps://dc2.example.com",
        bind_dn="cn=postern,dc=example,dc=com",
        bind_password="a-password",
        user_base="dc=example,dc=com",
        group_base="ou=groups,dc=example,dc=com",
        create="all",
        enabled="on",
    )
    assert response.status_code == 302, words(response)
    spec = connectors.ldap_spec(Connector.objects.get(name="ad"))
    assert (spec.enabled, spec.schema, len(spec.urls)) == (True, "active-directory", 2)
    assert spec.creation is not None
    response = adam.post("/console/connectors/new", kind="scim", name="hr", identities_of="corp", groups="eng-* ops")
    assert response.status_code == 302, words(response)
    assert connectors.scim_spec(Connector.objects.get(name="hr")).groups == ("eng-*", "ops")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "oidc", "issuer": "http://id.example.com", "client_id": "a"}, "must begin with https://"),
        ({"kind": "oidc", "issuer": "https://x.y", "client_id": "a", "groups": "nonsense"}, "line 1 is not written"),
        (
            {"kind": "oidc", "issuer": "https://x.y", "client_id": "a", "groups": "g: Big Group"},
            "not a name of a group",
        ),
        ({"kind": "oidc", "issuer": "https://x.y", "client_id": "a", "create": "some"}, "names neither groups nor"),
        ({"kind": "oidc", "issuer": "https://x.y", "client_id": "a", "name": "corp"}, "there is a connector corp"),
        (
            {"kind": "ldap", "urls": "ldap://x.example.com", "schema": "openldap", "user_base": "dc=x"},
            "passwords in clear",
        ),
        ({"kind": "scim", "identities_of": "nothing"}, "is not one of the available choices"),
    ],
)
def test_what_a_form_gets_wrong_is_said_at_its_field(world: Cast, fields: dict[str, str], said: str) -> None:
    response = Browser("adam").post("/console/connectors/new", **{"name": "new-one", **fields})
    assert response.status_code == 200
    assert said in words(response)
    assert not Connector.objects.filter(name="new-one").exists()


def test_switching_off_names_what_it_ends_and_asks(world: Cast) -> None:
    LoginSession.objects.filter(pk=world.charlie.session.pk).update(via="oidc:corp")
    adam = Browser("adam")
    asked = words(adam.get("/console/connectors/corp/disable"))
    assert "ends 1 open session that began by it" in asked
    assert "1 user has no other way in" in asked
    adam.post("/console/connectors/corp/disable")
    assert Connector.objects.get(name="corp").enabled
    adam.post("/console/connectors/corp/disable", confirm="yes")
    assert not Connector.objects.get(name="corp").enabled
    assert LoginSession.objects.get(pk=world.charlie.session.pk).ended_reason == "connector-disabled"
    adam.post("/console/connectors/corp/enable")
    assert Connector.objects.get(name="corp").enabled


def test_deleting_names_what_goes_along(world: Cast) -> None:
    adam = Browser("adam")
    adam.post("/console/connectors/office/delete", confirm="yes")
    asked = words(adam.get("/console/connectors/corp/delete"))
    for said in (
        "1 user is no longer known by it",
        "takes 1 group membership that it gave",
        "1 user has no other way in",
    ):
        assert said in asked
    assert adam.post("/console/connectors/corp/delete", confirm="yes").status_code == 302
    assert not Identity.objects.exists()
    assert stranded(Connector.objects.get(name="directory")) == 0


def test_what_another_connector_names_is_not_deleted(world: Cast) -> None:
    response = Browser("adam").post("/console/connectors/corp/delete", confirm="yes")
    assert response.status_code == 409
    assert Connector.objects.filter(name="corp").exists()


def test_a_token_is_shown_once_after_being_asked(world: Cast) -> None:
    adam = Browser("adam")
    assert "ptn_scim_" not in adam.text("/console/connectors/office/token")
    made = adam.post("/console/connectors/office/token", confirm="yes").content.decode()
    assert made.count("ptn_scim_") >= 1
    assert "ptn_scim_" not in adam.text("/console/connectors/office")
    assert "the token it has now opens nothing any more" in words(adam.get("/console/connectors/office/token"))


def test_without_the_library_a_directory_stays_off_and_the_page_says_what_installs_it(
    world: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    adam = Browser("adam")
    adam.post("/console/connectors/directory/disable", confirm="yes")
    monkeypatch.setattr(extra, "available", lambda: False)
    assert adam.post("/console/connectors/directory/enable").status_code == 302
    assert "uv sync --extra ldap" in words(adam.get("/console/connectors/directory"))
    assert not Connector.objects.get(name="directory").enabled
    kept = Connector.objects.get(name="directory").document["spec"]["bind_password"]
    text = DOCUMENTS.split("---")[1].replace(CANARY, kept)
    refused = adam.post("/console/connectors/directory/edit", text=text, version=version_of_directory(), do="save")
    assert refused.status_code == 422
    assert "uv sync --extra ldap" in words(refused)


def version_of_directory() -> str:
    return version_of(Connector.objects.get(name="directory").document)


def test_a_provider_that_does_not_answer_is_said_when_it_is_tried(world: Cast) -> None:
    adam = Browser("adam")
    response = adam.post("/console/connectors/corp/test")
    assert response.status_code == 302
    assert response.headers["Location"] == "/console/connectors/corp"
    assert "message" in adam.text("/console/connectors/corp")


def test_a_directory_that_does_not_answer_is_said_when_it_is_tried(world: Cast) -> None:
    pytest.importorskip("ldap")
    response = Browser("adam").post("/console/connectors/directory/try", typed="alice")
    assert "Nobody would come in" in words(response)
    assert "directory-down" in words(response)
    assert AuditEvent.objects.get(name="connector.tested").data["outcome"] == "directory-down"


def test_who_administers_a_little_cannot_try_what_a_connector_tells(world: Cast) -> None:
    """R08: a trial shows what a directory tells of anybody, and a token makes members of any group."""
    change(
        """
{kind: role, metadata: {name: keeper}, spec: {allow: {rules: [{resources: [connector], verbs: ['*']}]}}}
---
{kind: role_binding, spec: {role: keeper, user: holly}}
"""
    )
    holly = Browser("holly")
    assert holly.get("/console/connectors").status_code == 200
    for path in ("directory/try", "office/token"):
        assert holly.get(f"/console/connectors/{path}").status_code == 403
        assert holly.post(f"/console/connectors/{path}", confirm="yes", typed="alice").status_code == 403
    assert holly.post("/console/connectors/corp/test").status_code == 403
    assert holly.post("/console/connectors/corp/enable").status_code in (302, 403)
    assert holly.post("/console/connectors/corp/disable", confirm="yes").status_code == 403
    assert Connector.objects.get(name="office").token_hash is None
    assert Connector.objects.get(name="corp").enabled
