"""How failures are told: one shape for all, with the request id, and nothing that gives our insides away."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings

from accounts import cookies
from accounts.models import LoginSession
from broker.api import me
from broker.models import AuditEvent
from broker.services.authorities import ensure_authorities
from tests.broker.cast import PUBLIC_KEY, Cast, client, signed_in

pytestmark = pytest.mark.urls("tests.broker.api.urls")
MEMBERS = {"type", "title", "status", "detail", "reasons", "hint", "request_id"}


def post(actor: Any, path: str, body: Any) -> Any:
    return client(actor).post(f"/api/v1/{path}", body, content_type="application/json")


def test_every_failure_is_problem_details_with_the_request_id(cast: Cast) -> None:
    for response, status in (
        (client().get("/api/v1/status"), 401),
        (client(cast.alice).get("/api/v1/admin/role"), 403),
        (client(cast.alice).get("/api/v1/nothing/here"), 404),
        (client(cast.alice).put("/api/v1/status"), 405),
        (post(cast.alice, "app-tokens", {}), 422),
    ):
        assert response.status_code == status
        assert response.headers["Content-Type"] == "application/problem+json"
        answer = response.json()
        assert set(answer) >= MEMBERS
        assert answer["status"] == status
        assert answer["request_id"] == response.headers["X-Request-Id"]


def test_401_says_how_to_sign_in(cast: Cast) -> None:
    response = client().get("/api/v1/status")
    assert response.headers["WWW-Authenticate"] == 'DPoP algs="ES256"'
    assert response.json()["reasons"][0]["reason"] == "not-signed-in"


@pytest.mark.parametrize(
    "authorization",
    ["", "DPoP", "DPoP x", "Basic YWxpY2U6eA==", "DPoP ptn_cli_" + "a" * 43, "DPoP ptn_cli_" + "a" * 5000],
)
def test_no_other_credential_is_taken(cast: Cast, authorization: str) -> None:
    response = client().get("/api/v1/status", headers={"Authorization": authorization})
    assert response.status_code == 401


def test_a_browser_session_counts_for_nothing_even_as_a_token(cast: Cast) -> None:
    """X07: neither as cookie nor as token; and a page of another origin gets no leave to read."""
    browser = signed_in(cast.adam.user, LoginSession.Kind.BROWSER)
    http = client()
    http.cookies[cookies.SESSION] = browser.token
    origin = {"Origin": "http://grafana.postern.localhost:8080"}
    response = http.get("/api/v1/admin/role", headers=origin)
    assert response.status_code == 401
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]
    preflight = http.options("/api/v1/admin/apply", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code in (401, 405)
    assert not [name for name in preflight.headers if name.lower().startswith("access-control-")]
    for scheme in ("Bearer", "DPoP", "DPoP ptn_cli_"):
        headers = {"Authorization": f"{scheme} {browser.token}"}
        assert client().get("/api/v1/status", headers=headers).status_code == 401
    assert client(browser).get("/api/v1/status").status_code == 401


def test_an_ended_session_and_a_disabled_user_get_401(cast: Cast) -> None:
    alice, bob = cast.alice, cast.bob
    assert client(alice).delete("/api/v1/session").status_code == 204
    assert client(alice).get("/api/v1/status").status_code == 401
    assert client(bob).get("/api/v1/status").status_code == 200
    assert client(cast.adam).post("/api/v1/admin/users/bob/disable").json() == {"ends_sessions": 1}
    assert client(bob).get("/api/v1/status").status_code == 401


def test_a_refusal_names_its_reason_in_words(cast: Cast) -> None:
    response = client(cast.alice).get("/api/v1/admin/role")
    answer = response.json()
    assert answer["reasons"][0]["reason"] == "action-not-allowed"
    assert "alice" in answer["detail"]
    assert answer["hint"]


def test_missing_and_not_yours_sound_the_same(cast: Cast) -> None:
    """R04: the same status, and the same words but for the name asked for."""
    ensure_authorities()
    for path, body in (
        ("app-tokens", {"app": "NAME"}),
        ("certificates/access", {"server": "NAME", "login": "root", "public_key": PUBLIC_KEY}),
        ("why", {"action": "app.request", "resource": {"kind": "app", "name": "NAME"}}),
        ("why", {"action": "ssh.session", "resource": {"kind": "server", "name": "NAME"}, "login": "root"}),
    ):
        there = "canary-vault" if "app" in str(body) and "server" not in str(body) else "canary-prod"
        told = []
        for name in (there, "missing-one!"[: len(there)]):
            filled = _filled(body, name)
            response = post(cast.alice, path, filled)
            told.append((response.status_code, _without(response.content.decode(), name)))
        assert told[0] == told[1], path


def _filled(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, name) for key, inner in value.items()}
    return name if value == "NAME" else value


def _without(text: str, name: str) -> str:
    return re.sub(r'"request_id": "[0-9a-f]+"', "", text.replace(name, "NAME"))


def test_an_unknown_key_is_refused_with_the_nearest(cast: Cast) -> None:
    answer = post(cast.alice, "app-tokens", {"app": "grafana", "aap": 1}).json()
    assert answer["problems"][0]["message"] == "unknown key 'aap'"
    assert answer["problems"][0]["hint"] == "did you mean 'app'?"


def test_a_number_is_no_string(cast: Cast) -> None:
    response = post(cast.alice, "app-tokens", {"app": 1})
    assert response.status_code == 422
    assert response.json()["problems"][0]["path"] == "app"


def test_a_body_too_large_is_413(cast: Cast) -> None:
    response = post(cast.alice, "app-tokens", {"app": "x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)})
    assert response.status_code == 413


@pytest.mark.parametrize(
    "cursor",
    ["x", "MTo", "LTE", "MTph", "MTotMQ", "%00", "' OR 1=1--", "A" * 500, "MTo5OTk5OTk5OTk5OTk5OTk5OTk5OQ"],
)
@pytest.mark.parametrize("path", ["admin/events", "admin/sessions", "admin/login-sessions"])
def test_a_forged_cursor_is_refused(cast: Cast, path: str, cursor: str) -> None:
    """D15."""
    response = client(cast.audrey).get(f"/api/v1/{path}", {"cursor": cursor})
    assert response.status_code == 422
    assert response.json()["problems"][0]["path"] == "cursor"


def test_a_failure_of_ours_gives_nothing_away(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """R06: a canary in an exception reaches no answer."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("canary-secret at /srv/postern")

    monkeypatch.setattr(me, "list_resources", fail)
    response = client(cast.alice).get("/api/v1/resources")
    assert response.status_code == 500
    assert "canary" not in response.content.decode()
    assert response.json()["request_id"]


def test_tokens_reach_no_event(cast: Cast) -> None:
    """A16, R06: secrets handed out over the API are in no line of the log."""
    token = post(cast.alice, "app-tokens", {"app": "grafana"}).json()["token"]
    link = client(cast.adam).post("/api/v1/admin/users/charlie/invite").json()["url"]
    script = post(cast.adam, "admin/servers/db-1/enroll", {}).json()["script"]
    enrolment = next(word for word in script.replace("'", " ").split() if word.startswith("ptn_enr_"))
    secrets = [token, link.rpartition("/")[2], enrolment, cast.alice.token, cast.adam.token]
    log = " ".join(str(row) for row in AuditEvent.objects.values_list())
    assert not [secret for secret in secrets if secret in log]


def test_whatever_is_in_a_name_is_one_event(cast: Cast) -> None:
    """A10: control characters of every kind stay inside one field of one record."""
    ensure_authorities()
    nasty = 'x\r\n2026-01-01 admin logged in\u2028\x1b[31m%s\u202e"}'
    before = AuditEvent.objects.count()
    body = {"server": nasty, "login": "root", "public_key": PUBLIC_KEY}
    response = post(cast.alice, "certificates/access", body)
    assert response.status_code == 404
    assert AuditEvent.objects.count() - before == 1
    answer = client(cast.audrey).get("/api/v1/admin/events", {"type": "access.denied"})
    assert b"\x1b" not in answer.content
    assert b"\n" not in answer.content.strip()
