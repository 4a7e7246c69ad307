"""Who reaches an app, and who does not: through real nginx."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from accounts.services.login_sessions import rotate_token
from broker.audit.origin import system
from broker.models import AccessSession, Launch
from broker.services.app_sessions import issue_app_token
from tests.real.nginx import Answer, WebWorld, wait_for, world

__all__ = ["world"]
pytestmark = pytest.mark.real

PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
FETCH = {"Sec-Fetch-Mode": "cors", "Accept": "application/json"}


def launch_path(answer: Answer) -> str:
    """Where a browser without a session is sent."""
    assert answer.status == 302, answer.text
    parts = urlsplit(answer.get("Location"))
    return f"{parts.path}?{parts.query}"


def cookie_of(answer: Answer, name: str) -> str:
    [line] = [line for line in answer.all("Set-Cookie") if line.startswith(name + "=")]
    return line.partition(";")[0]


def test_nobody_reaches_an_app_without_a_session(world: WebWorld) -> None:
    answer = world.request("GET", "/read/1?x=1", FETCH)
    assert answer.status == 401
    assert answer.get("Content-Type") == "application/problem+json"
    assert answer.json()["reasons"][0]["reason"] == "not-signed-in"
    assert answer.get("WWW-Authenticate").startswith("Bearer")
    assert world.echo.heads == 0


@pytest.mark.parametrize("cookie", ["", "x" * 5000, "1", "é" * 43, "a b", "0" * 43, "0" * 42])
def test_a_cookie_that_is_no_session_opens_nothing(world: WebWorld, cookie: str) -> None:
    """P12: corrupt, truncated and unknown session cookies."""
    answer = world.request("GET", "/", FETCH | {"Cookie": f"__Host-postern-app={cookie}"})
    assert answer.status == 401
    assert world.echo.heads == 0


def test_a_session_of_one_app_opens_no_other_and_not_the_broker(world: WebWorld) -> None:
    """S02, R07: the cookie of wiki at files and at the broker."""
    alice = world.session("alice", "wiki")
    assert world.request("GET", "/", FETCH, host=world.host("files"), session=alice).status == 401
    assert world.request("GET", "/", session=alice).status == 200
    account = world.request("GET", "/account", host=world.env.host, session=alice)
    assert account.status == 302
    assert "/sign-in" in account.get("Location")


def test_a_cookie_that_is_there_twice_counts_as_none(world: WebWorld) -> None:
    """S17: duplicate names, in one header and in two, either way round."""
    alice = world.session("alice")
    evil = "__Host-postern-app=" + "0" * 43
    for cookie in (f"{alice.cookie}; {evil}", f"{evil}; {alice.cookie}", f"{alice.cookie}; {alice.cookie}"):
        assert world.request("GET", "/", FETCH | {"Cookie": cookie}).status == 401
    assert world.request("GET", "/", FETCH | {"Cookie": alice.cookie}, more=f"Cookie: {evil}\r\n").status == 401
    assert world.echo.heads == 0


def test_a_cookie_tossed_by_another_host_is_not_ours(world: WebWorld) -> None:
    """S17: a name that only looks like ours, a nameless cookie, our own beside them."""
    alice = world.session("alice")
    cookie = f"__host-postern-app=evil; =__Host-postern-app=evil; postern-app=evil; {alice.cookie}; theme=dark"
    assert world.request("GET", "/", {"Cookie": cookie}).status == 200
    assert world.echo.last.get("Cookie") == "postern-app=evil; theme=dark"


def test_an_ended_or_expired_session_opens_nothing(world: WebWorld) -> None:
    """P12, S09."""
    past = timezone.now() - timedelta(seconds=1)
    assert world.request("GET", "/", FETCH, session=world.session("alice", expires_at=past)).status == 401
    assert world.request("GET", "/", FETCH, session=world.session("alice", ended_at=past)).status == 401
    idle = world.login("alice", last_seen_at=past - timedelta(hours=5))
    assert world.request("GET", "/", FETCH, session=world.session("alice", login=idle)).status == 401
    over = world.session("alice", login=world.login("alice", ended_at=past))
    assert world.request("GET", "/", FETCH, session=over).status == 401
    assert world.echo.heads == 0


def test_bob_may_only_what_his_role_says(world: WebWorld) -> None:
    bob = world.session("bob")
    assert world.request("GET", "/read/1", session=bob).status == 200
    denied = world.request("POST", "/read/1", FETCH, b"x", session=bob)
    assert (denied.status, denied.json()["reasons"][0]["reason"]) == (403, "method-not-allowed")
    assert world.request("GET", "/write", FETCH, session=bob).status == 403
    assert [seen.target for seen in world.echo.seen] == ["/read/1"]


def test_charlie_is_told_what_was_missing_and_it_is_on_record(world: WebWorld) -> None:
    """A01: the page names the reason in words and the request id, and the log has the same id."""
    answer = world.request("GET", "/secret?token=1", PAGE, session=world.session("charlie"))
    assert answer.status == 403
    assert answer.get("Content-Type").startswith("text/html")
    assert "no role is given to charlie" in answer.text
    [event] = world.events("access.denied")
    assert event.request_id in answer.text
    assert (event.actor_name, event.resource_name, event.reasons) == ("charlie", "wiki", ["no-role"])
    assert event.data["path"] == "/secret"


def test_denials_alike_are_counted_not_repeated(world: WebWorld) -> None:
    charlie = world.session("charlie")
    for _ in range(7):
        assert world.request("GET", "/x", FETCH, session=charlie).status == 403
    wait_for(lambda: sum(event.data["count"] for event in world.events("access.denied")) == 7, "not all were counted")
    assert len(world.events("access.denied")) < 7


def test_permitted_requests_are_summed_up_on_record(world: WebWorld) -> None:
    """A01 for permits: once a second, by method and path, without the query."""
    alice = world.session("alice")
    for _ in range(3):
        world.request("GET", "/read/1?secret=1", session=alice)
    wait_for(lambda: sum(event.data["total"] for event in world.events("app.requests")) == 3, "not all were counted")
    event = world.events("app.requests")[0]
    assert (event.actor_name, event.access_session_id, event.decision) == ("alice", str(alice.access.pk), "permit")
    assert event.data["requests"][0][:2] == ["GET", "/read/1"]
    assert event.data["roles"] == ["engineer"]


def test_a_public_path_is_open_and_introduces_nobody(world: WebWorld) -> None:
    """P04: on a public path the client's identity headers are cleared as everywhere."""
    forged = {"X-Forwarded-User": "root", "X-Postern-Assertion": "x.y.z", "X-Forwarded-Groups": "admins"}
    assert world.request("GET", "/public/logo", forged).status == 200
    for name in forged:
        assert world.echo.last.all(name) == []
    assert world.request("GET", "/public/../secret", FETCH).status == 403


def test_health_checks_and_well_known_paths_bypass_nothing(world: WebWorld) -> None:
    """P14."""
    for path in ("/favicon.ico", "/.well-known/x", "/healthz", "/robots.txt", "/static/x.js", "/x.css", "/readyz"):
        assert world.request("GET", path, FETCH | {"User-Agent": "ELB-HealthChecker/2.0"}).status == 401
    assert world.echo.heads == 0


# --- signing in -----------------------------------------------------------------------------------------------------


def signed_in(world: WebWorld, name: str) -> str:
    """The broker cookie of somebody who has signed in."""
    return f"__Host-postern={rotate_token(world.login(name))}"


def test_a_browser_is_led_through_sign_in_and_back(world: WebWorld) -> None:
    first = world.request("GET", "/read/1?q=a%20b", PAGE)
    state = cookie_of(first, "__Host-postern-state")
    assert "HttpOnly" in first.all("Set-Cookie")[0]
    assert "Domain" not in first.all("Set-Cookie")[0]
    path = launch_path(first)
    to_sign_in = world.request("GET", path, PAGE, host=world.env.host)
    assert to_sign_in.get("Location").startswith("/sign-in?next=/launch/wiki")
    launched = world.request("GET", path, PAGE | {"Cookie": signed_in(world, "alice")}, host=world.env.host)
    assert launched.status == 302, launched.text
    callback = urlsplit(launched.get("Location"))
    assert callback.netloc == f"{world.host()}:{world.port}"
    target = f"{callback.path}?{callback.query}"

    assert world.request("GET", target, PAGE).status == 400  # another browser, without the state
    launched = world.request("GET", path, PAGE | {"Cookie": signed_in(world, "alice")}, host=world.env.host)
    callback = urlsplit(launched.get("Location"))
    target = f"{callback.path}?{callback.query}"
    back = world.request("GET", target, PAGE | {"Cookie": state})
    assert (back.status, back.get("Location")) == (302, "/read/1?q=a%20b")
    cookie = cookie_of(back, "__Host-postern-app")
    assert world.request("GET", "/read/1", {"Cookie": cookie}).status == 200
    [event] = world.events("app.session.started")
    assert (event.actor_name, event.resource_name) == ("alice", "wiki")
    assert world.request("GET", target, PAGE | {"Cookie": state}).status == 400  # used up


def test_a_code_for_one_app_is_worth_nothing_at_another(world: WebWorld) -> None:
    """R07."""
    first = world.request("GET", "/", PAGE)
    state = cookie_of(first, "__Host-postern-state")
    launched = world.request(
        "GET", launch_path(first), PAGE | {"Cookie": signed_in(world, "alice")}, host=world.env.host
    )
    parts = urlsplit(launched.get("Location"))
    answer = world.request("GET", f"{parts.path}?{parts.query}", PAGE | {"Cookie": state}, host=world.host("files"))
    assert answer.status == 400
    assert AccessSession.objects.count() == 0


def test_a_code_that_is_too_old_is_refused(world: WebWorld) -> None:
    first = world.request("GET", "/", PAGE)
    cookie = signed_in(world, "alice")
    launched = world.request("GET", launch_path(first), PAGE | {"Cookie": cookie}, host=world.env.host)
    Launch.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    parts = urlsplit(launched.get("Location"))
    state = cookie_of(first, "__Host-postern-state")
    assert world.request("GET", f"{parts.path}?{parts.query}", PAGE | {"Cookie": state}).status == 400


def test_tabs_that_sign_in_at_once_share_one_state(world: WebWorld) -> None:
    first = world.request("GET", "/read/1", PAGE)
    state = cookie_of(first, "__Host-postern-state")
    second = world.request("GET", "/read/2", PAGE | {"Cookie": state})
    assert cookie_of(second, "__Host-postern-state") == state
    states = {parse_qs(urlsplit(answer.get("Location")).query)["state"][0] for answer in (first, second)}
    assert len(states) == 1
    assert state.partition("=")[2] not in states  # only its hash is in addresses (S15)


def test_charlie_is_denied_at_launch_already(world: WebWorld) -> None:
    path = launch_path(world.request("GET", "/", PAGE))
    answer = world.request("GET", path, PAGE | {"Cookie": signed_in(world, "charlie")}, host=world.env.host)
    assert answer.status == 403
    assert "no role is given to charlie" in answer.text
    assert Launch.objects.count() == 0
    assert world.events("access.denied")[-1].actor_name == "charlie"


def test_a_launch_leads_nowhere_else(world: WebWorld) -> None:
    """L33: `next` cannot leave the app."""
    cookie = signed_in(world, "alice")
    state = "0" * 64
    for evil in ("https://evil.example/", "//evil.example/", "/\\evil.example", "/.postern/sign-out", "/a%0d%0aX:1"):
        target = f"/launch/wiki?next={evil}&state={state}"
        answer = world.request("GET", target, PAGE | {"Cookie": cookie}, host=world.env.host)
        assert urlsplit(answer.get("Location")).netloc == f"{world.host()}:{world.port}"
    assert {launch.next for launch in Launch.objects.all()} == {"/"}


def test_signing_out_of_an_app_needs_its_own_page(world: WebWorld) -> None:
    """X03: logout across sites does nothing."""
    alice = world.session("alice")
    foreign = world.request("POST", "/.postern/sign-out", {"Origin": world.origin("files")}, session=alice)
    assert foreign.status == 403
    assert world.request("GET", "/", session=alice).status == 200
    own = world.request("POST", "/.postern/sign-out", {"Origin": world.origin()}, session=alice)
    assert own.status == 303
    wait_for(lambda: world.request("GET", "/", FETCH, session=alice).status == 401, "the session still opens the app")


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_opens_its_app_and_never_reaches_it(world: WebWorld) -> None:
    """P10: the credential is consumed."""
    token, _ = issue_app_token(system("test"), world.login("alice"), "wiki")
    bearer = {"Authorization": f"Bearer {token}"}
    assert world.request("GET", "/api", bearer).status == 200
    assert world.echo.last.all("Authorization") == []
    assert world.echo.last.get("X-Forwarded-User") == "alice"
    assert world.request("GET", "/api", bearer, host=world.host("files")).status == 401
    assert world.request("GET", "/api", {"Cookie": f"__Host-postern-app={token}"}).status == 401


def test_a_cookie_token_is_no_bearer_token_and_a_bad_token_is_not_helped_by_a_cookie(world: WebWorld) -> None:
    alice = world.session("alice")
    assert world.request("GET", "/", {"Authorization": f"Bearer {alice.token}"}).status == 401
    assert world.request("GET", "/", {"Authorization": "Bearer ptn_app_nonsense"}, session=alice).status == 401
    assert world.request("GET", "/", {"Authorization": "Bearer ptn_cli_" + "0" * 43}).status == 401
    assert world.echo.heads == 0


def test_the_apps_own_authorization_passes(world: WebWorld) -> None:
    alice = world.session("alice")
    world.request("GET", "/", {"Authorization": "Basic YTpi"}, session=alice)
    assert world.echo.last.get("Authorization") == "Basic YTpi"


def test_no_host_but_the_apps_own_leads_to_it(world: WebWorld) -> None:
    """P08: foreign hosts, addresses, ports and absolute forms get 404 or 421, never another app's session."""
    alice = world.session("alice")
    for host in ("evil.example", "127.0.0.1", "wiki.postern.localhost.evil.example", "xwiki.postern.localhost"):
        assert world.request("GET", "/", host=host, session=alice).status == 421
    files = f"http://{world.host('files')}:{world.port}/"
    assert world.request("GET", files, FETCH, session=alice).status == 401  # absolute form: files, not wiki
    assert world.request("GET", "/_postern/authz", session=alice).status == 404
    assert world.request("GET", "/_postern/denied", {"X-Postern-App": "1"}, session=alice).status == 404
    for path in ("/_postern/callback", "/_postern/denied", "/%5fpostern/denied", "/x/../_postern/denied"):
        app = {"X-Postern-App": str(alice.access.resource_id)}
        assert world.request("GET", path, app, host=world.env.host).status == 404
    assert world.echo.heads == 0


def test_case_and_a_trailing_dot_name_the_same_app(world: WebWorld) -> None:
    """P08."""
    alice = world.session("alice")
    for host in ("WIKI.postern.LOCALHOST", "wiki.postern.localhost."):
        assert world.request("GET", "/", host=host, session=alice).status == 200
        assert re.fullmatch(rf"wiki\.postern\.localhost:{world.port}", world.echo.last.get("X-Forwarded-Host"))


def test_an_app_from_another_origin_gets_no_credentials(world: WebWorld) -> None:
    """X07: neither preflight nor simple request from an app's page reaches the broker's API."""
    for method in ("OPTIONS", "GET", "POST"):
        answer = world.request(method, "/api/v1/status", {"Origin": world.origin()}, host=world.env.host)
        assert answer.status in (401, 405, 403)
        assert answer.all("Access-Control-Allow-Origin") == []
