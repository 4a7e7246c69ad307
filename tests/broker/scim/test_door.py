"""Who gets in at the SCIM door: a client with its own token, and nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts import cookies
from accounts.models import Connector, LoginSession, Throttle
from broker.models import AuditEvent
from broker.scim.urls import urlpatterns
from broker.services.app_sessions import issue_app_token
from broker.services.scim_tokens import PREFIX
from broker.tokens import new_token
from tests.broker.cast import Cast, client, signed_in
from tests.broker.scim.conftest import Provisioner, provisioner

PLACES = ["Users", "Users/x", "Groups", "Groups/x", "ServiceProviderConfig", "ResourceTypes", "Schemas", "Bulk", "Me"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", [*PLACES, "", "nothing/here", "ResourceTypes/User", ".search"])
def test_without_a_token_every_address_says_the_same(okta: Provisioner, method: str, path: str) -> None:
    response = okta.send(method, path, authorization="")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="postern-scim"'
    assert not AuditEvent.objects.filter(name="connector.token.refused").exists()


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer x",
        "Basic YTpi",
        "Bearer {good} ",
        "Bearer {good}x",
        "{good}",
        "Bearer {other}",
        "Token {good}",
    ],
)
def test_what_is_not_exactly_a_token_opens_nothing(okta: Provisioner, header: str) -> None:
    words = header.format(good=okta.token, other=new_token(PREFIX))
    assert okta.error("GET", "Users", authorization=words) == (401, "")
    assert AuditEvent.objects.get(name="connector.token.refused").data["why"] == "unknown"


def test_no_other_credential_opens_it(cast: Cast, okta: Provisioner) -> None:
    """X07: an administrator's cookie and CLI token, and an app token, count for nothing here."""
    app_token, _ = issue_app_token(cast.alice.origin, cast.alice.session, "grafana")
    for token in (cast.adam.token, app_token):
        assert okta.error("GET", "Users", authorization=f"Bearer {token}") == (401, "")
    browser = signed_in(cast.adam.user, LoginSession.Kind.BROWSER)
    okta.http.cookies[cookies.SESSION] = browser.token
    assert okta.error("GET", "Users", authorization="") == (401, "")
    assert okta.error("POST", "Users", {"userName": "eve"}, authorization="") == (401, "")


def test_its_token_opens_nothing_else(cast: Cast, okta: Provisioner) -> None:
    for path in ("/api/v1/status", "/api/v1/admin/user", "/api/v1/admin/sessions"):
        assert client().get(path, headers={"authorization": f"Bearer {okta.token}"}).status_code == 401
    okta.http.cookies[cookies.SESSION] = okta.token
    for path in ("/account", "/console/"):
        assert okta.http.get(path, headers={"host": "postern.localhost:8080"}).status_code in (302, 401, 404)


def test_a_disabled_clients_token_opens_nothing(okta: Provisioner) -> None:
    okta.ok("GET", "Users")
    Connector.objects.update(enabled=False)
    assert okta.error("GET", "Users") == (401, "")
    event = AuditEvent.objects.get(name="connector.token.refused")
    assert (event.resource_name, event.data["why"]) == ("okta", "disabled")


def test_a_token_of_a_connector_of_another_kind_opens_nothing(okta: Provisioner) -> None:
    Connector.objects.update(kind="oidc")
    assert okta.error("GET", "Users") == (401, "")


def test_a_damaged_document_lets_nobody_in(okta: Provisioner) -> None:
    Connector.objects.update(document={"kind": "scim", "spec": 5})
    assert okta.error("GET", "Users") == (503, "")


def test_bad_tokens_are_throttled_by_address_and_good_ones_never(okta: Provisioner) -> None:
    bad = f"Bearer {new_token(PREFIX)}"
    for _ in range(30):
        assert okta.error("GET", "Users", authorization=bad) == (401, "")
    response = okta.send("GET", "Users", authorization=bad)
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
    assert okta.error("GET", "Users", authorization=bad, x_real_ip="198.51.100.9") == (401, "")
    okta.ok("GET", "Users")
    assert AuditEvent.objects.filter(name="connector.token.refused").count() == 31
    assert not Throttle.objects.filter(key__startswith="account:").exists()


def test_a_throttled_address_hears_no_difference_between_unknown_and_disabled(okta: Provisioner) -> None:
    Connector.objects.update(enabled=False)
    known = okta.send("GET", "Users")
    unknown = okta.send("GET", "Users", authorization=f"Bearer {new_token(PREFIX)}")
    assert known.content == unknown.content


def test_the_token_is_in_no_event_and_no_answer(okta: Provisioner) -> None:
    okta.user("zoe@example.com")
    okta.error("GET", "Users/x")
    kept = json.dumps(list(AuditEvent.objects.values()), default=str)
    assert okta.token not in kept
    assert okta.token not in json.dumps(okta.ok("GET", "Users"))


def test_a_foreign_host_is_refused_before_anything_else(okta: Provisioner) -> None:
    assert okta.send("GET", "Users", host="evil.example").status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "Users", "GET, POST"), ("POST", "Users/x", "DELETE, GET, PATCH, PUT"), ("POST", "Schemas", "GET")],
)
def test_a_method_that_an_address_has_not_is_a_405(okta: Provisioner, method: str, path: str, allowed: str) -> None:
    response = okta.send(method, path, {})
    assert (response.status_code, response.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["Bulk", "Me", ".search"])
def test_what_is_not_supported_says_so(okta: Provisioner, path: str) -> None:
    assert okta.error("POST", path, {}) == (501, "")


def test_any_other_address_is_a_404(okta: Provisioner) -> None:
    for path in ("", "users", "Users/a/b", "Users/"):
        assert okta.error("GET", path) == (404, "")


def test_the_configuration_tells_the_truth(okta: Provisioner) -> None:
    told = okta.ok("GET", "ServiceProviderConfig")
    on = {name for name in told if isinstance(told[name], dict) and told[name].get("supported")}
    assert on == {"patch", "filter", "etag"}
    types = okta.ok("GET", "ResourceTypes")
    assert [item["endpoint"] for item in types["Resources"]] == ["/Users", "/Groups"]
    assert okta.ok("GET", "ResourceTypes/User") == types["Resources"][0]
    for item in okta.ok("GET", "Schemas")["Resources"]:
        assert okta.ok("GET", f"Schemas/{item['id']}") == item
    assert okta.error("GET", "Schemas/urn:nothing") == (404, "")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (" ", "invalidSyntax"),
        ("{", "invalidSyntax"),
        ("[]", "invalidSyntax"),
        ('{"userName": "a", "userName": "b"}', "invalidSyntax"),
        ('{"userName": "eve", "USERNAME": "adam"}', "invalidSyntax"),
        ('{"userName": NaN}', "invalidSyntax"),
        ('{"userName": ' + "[" * 40 + "]" * 40 + "}", "invalidSyntax"),
        (b"\xff\xfe{}", "invalidSyntax"),
        ('{"userName": "a\\u0000b"}', "invalidValue"),
        ('{"userName": "eve", "title": "\\ud800"}', "invalidValue"),
        ('{"userName": 5}', "invalidValue"),
        ('{"userName": null}', "invalidValue"),
        ("{}", "invalidValue"),
        ('{"userName": "eve", "active": "perhaps"}', "invalidValue"),
        ('{"userName": "eve", "emails": [{"value": 5}]}', "invalidValue"),
        ('{"userName": "eve", "emails": ["x"]}', "invalidValue"),
        ('{"userName": "eve", "name": "Eve"}', "invalidValue"),
        ('{"userName": "' + "e" * 300 + '"}', "invalidValue"),
        ('{"userName": "eve", "displayName": "' + "e" * 300 + '"}', "invalidValue"),
    ],
)
def test_a_bad_body_is_told_and_makes_nobody(okta: Provisioner, body: Any, kind: str) -> None:
    assert okta.error("POST", "Users", body) == (400, kind)
    assert okta.ok("GET", "Users")["totalResults"] == 0


def test_a_body_must_say_what_it_is_and_plain_json_will_do(okta: Provisioner) -> None:
    body = '{"userName": "eve"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert okta.error("POST", "Users", body, content_type=kind)[0] == 415
    okta.ok("POST", "Users", body, 201, content_type="application/json; charset=utf-8")


def test_a_body_beyond_the_limit_is_a_413(okta: Provisioner) -> None:
    assert okta.error("POST", "Users", '{"userName": "' + "e" * 5_000_000 + '"}')[0] == 413


def test_every_view_stands_behind_the_door() -> None:
    assert {pattern.callback.__name__ for pattern in urlpatterns} == {"enter"}


def test_two_clients_do_not_share_a_token(okta: Provisioner) -> None:
    other = provisioner("entra")
    okta.user("zoe")
    assert other.ok("GET", "Users")["totalResults"] == 0
