"""What passes between browsers and apps, and what does not: headers, cookies, redirects, bodies, methods."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from broker.audit.origin import system
from broker.services.signing_keys import rotate_signing_key
from tests.real.echo import Echo, answer
from tests.real.nginx import WebWorld, read_answer, tls_context, wait_for, world

__all__ = ["world"]
pytestmark = pytest.mark.real

IDENTITY = ("X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Postern-Assertion")
FORGED = ("root", "root@evil.example", "admins", "a.b.c")


@pytest.mark.parametrize("spelled", [str, str.lower, str.upper, str.swapcase])
def test_forged_identity_is_replaced_whatever_its_case(world: WebWorld, spelled: type[str]) -> None:
    """P02: once, twice, with commas; the app sees exactly one, ours."""
    more = "".join(f"{spelled(name)}: {value},x\r\n" * 2 for name, value in zip(IDENTITY, FORGED, strict=True))
    assert world.request("GET", "/", session=world.session("alice"), more=more).status == 200
    seen = world.echo.last
    assert [seen.get(name) for name in IDENTITY[:3]] == ["alice", "alice@example.com", "ops"]
    assert len(seen.all("X-Postern-Assertion")) == 1
    assert seen.get("X-Postern-Assertion").count(".") == 2


@pytest.mark.parametrize(
    "line",
    [
        "X_Forwarded_User: root",
        "X-Forwarded_User: root",
        "X-Forwarded-User : root",
        "X-Forwarded-User\t: root",
        " X-Forwarded-User: root",
        "X-Forwarded-User\x80: root",
        "X-Forwarded-\xffUser: root",
        "X-Forwarded-User\x00: root",
        "X.Forwarded.User: root",
    ],
)
def test_names_that_look_like_identity_reach_nobody(world: WebWorld, line: str) -> None:
    """P03: refused, or dropped, or plainly another name."""
    got = world.request("GET", "/", session=world.session("alice"), more=line + "\r\n")
    assert got.status in (200, 400)
    if got.status == 200:
        folded = [name.lower().replace("_", "-").strip() for name, _ in world.echo.last.headers]
        assert folded.count("x-forwarded-user") == 1
        assert world.echo.last.get("X-Forwarded-User") == "alice"


def test_forged_identity_is_replaced_on_a_websocket_too(world: WebWorld) -> None:
    """P04: on the upgrade; what nginx tells the tunnel stays there."""
    forged = {**dict(zip(IDENTITY, FORGED, strict=True)), "X-Postern-Tunnel-Access": "evil"}
    with world.websocket(world.session("alice"), additional_headers=forged) as ws:
        ws.send("hello")
        assert ws.recv(5) == "hello"
    assert world.echo.last.get("X-Forwarded-User") == "alice"
    assert not [name for name, _ in world.echo.last.headers if name.lower().startswith("x-postern-tunnel")]


def test_forged_identity_does_not_reach_our_own_pages_about_errors(world: WebWorld) -> None:
    """P04: on the error path."""
    forged = {"X-Postern-User": "mallory", "X-Postern-Reasons": "locked", "Accept": "text/html"}
    page = world.request("GET", "/", forged, session=world.session("charlie"))
    assert page.status == 403
    assert "no role is given to charlie" in page.text
    assert "mallory" not in page.text


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL",
        "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Envoy-Original-Path", "Forwarded",
        "X-Envoy-External-Address", "X-Client-IP", "True-Client-IP", "Proxy", "Remote-User", "X-Assertion",
        "X-Assert-User", "X-Remote-User", "X-WEBAUTH-USER", "X-Auth-Request-User", "Cf-Access-Jwt-Assertion",
    ],
)  # fmt: skip
def test_headers_that_speak_for_another_request_are_dropped(world: WebWorld, name: str) -> None:
    """P05: no effect and not forwarded."""
    bob = world.session("bob")
    assert world.request("GET", "/read/1", {name: "/write"}, session=bob).status == 200
    assert world.echo.last.all(name) == []
    assert world.request("GET", "/write", {name: "/read/1"}, session=bob).status == 403


def test_the_address_told_is_that_of_the_connection(world: WebWorld) -> None:
    """P06, P05: forged chains, hosts, ports and protocols are replaced."""
    forged = {"X-Forwarded-For": "1.2.3.4, 5.6.7.8", "X-Real-IP": "1.2.3.4", "X-Forwarded-Proto": "gopher"}
    forged |= {"X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "1"}
    world.request("GET", "/", forged, session=world.session("alice"))
    seen = world.echo.last
    assert seen.get("X-Forwarded-For") == seen.get("X-Real-IP") == "127.0.0.1"
    assert (seen.get("X-Forwarded-Proto"), seen.get("X-Forwarded-Port")) == ("http", str(world.port))
    assert seen.get("X-Forwarded-Host") == f"{world.host()}:{world.port}"
    wait_for(lambda: world.events("app.requests"), "no request on record")
    assert world.events("app.requests")[0].address == "127.0.0.1"


@pytest.mark.parametrize(
    "more",
    ["X-A: a\x00b\r\n", "X-A: a\r\n  folded: b\r\n", "Host: evil\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n"],
)
def test_malformed_and_doubled_headers_are_refused(world: WebWorld, more: str) -> None:
    """P09."""
    got = world.request("GET", "/", session=world.session("alice"), more=more)
    assert got.status == 400 or (got.status == 200 and "folded" not in str(world.echo.last.headers))


def test_a_second_origin_is_not_seen_by_anybody(world: WebWorld) -> None:
    """P09: what the decision read is what the app reads."""
    world.request(
        "GET", "/", {"Origin": "http://one.example"}, session=world.session("alice"), more="Origin: http://two\r\n"
    )
    assert len(world.echo.last.all("Origin")) == 1


def test_no_cookie_of_ours_reaches_an_app(world: WebWorld) -> None:
    """P10."""
    alice = world.session("alice")
    ours = "__Host-postern=x; __Host-postern-csrf=y; __Host-postern-state=z; __HOST-POSTERN-app=q"
    world.request("GET", "/", {"Cookie": f"a=1; {ours}; b=2"}, session=alice)
    assert world.echo.last.get("Cookie") == "a=1; b=2"
    world.request("GET", "/", session=alice)
    assert world.echo.last.all("Cookie") == []
    text = json.dumps(world.echo.last.headers)
    assert alice.token not in text


def test_no_token_of_ours_reaches_an_app_in_any_wrapping(world: WebWorld) -> None:
    """P10."""
    for value in ("Bearer ptn_cli_" + "0" * 43, "Token ptn_app_x", "PTN_APP_x"):
        assert world.request("GET", "/", {"Authorization": value}, session=world.session("alice")).status == 401
        assert world.request("GET", "/public/x", {"Authorization": value}).status == 200
        assert world.echo.last.all("Authorization") == []


def test_an_app_cannot_set_our_cookies_nor_cookies_for_other_hosts(world: WebWorld) -> None:
    """P10, P31: `__Host-` without Secure is refused by browsers; a Domain is taken off."""
    cookies = [
        "__Host-postern-app=evil; Secure; Path=/",
        "__host-Postern-state=evil; Path=/; Secure; HttpOnly",
        "wide=1; Domain=postern.localhost; Path=/",
        "wider=1; domain=.postern.localhost",
        "twice=1; Domain=a.example; DOMAIN=postern.localhost",
        "own=1; Path=/x; HttpOnly",
    ]
    world.echo.answers["/set"] = answer(200, b"", *(("Set-Cookie", line) for line in cookies))
    got = world.request("GET", "/set", session=world.session("alice")).all("Set-Cookie")
    by_name = {line.partition("=")[0]: line.lower() for line in got}
    assert "secure" not in by_name["__Host-postern-app"]
    assert "secure" not in by_name["__host-Postern-state"]
    for name in ("wide", "wider", "twice"):
        assert "localhost" not in by_name[name]
        assert "example" not in by_name[name]
    assert by_name["own"] == "own=1; path=/x; httponly"


def test_an_app_commands_neither_nginx_nor_what_browsers_keep(world: WebWorld) -> None:
    """P31: no internal redirect into our locations, no clearing of the site's data, no other protocol."""
    headers = [("X-Accel-Redirect", "/_postern/denied"), ("Clear-Site-Data", '"*"'), ("Alt-Svc", 'h3=":1"')]
    world.echo.answers["/set"] = answer(200, b"own body", *headers)
    got = world.request("GET", "/set", session=world.session("alice"))
    assert (got.status, got.body) == (200, b"own body")
    assert [name for name, _ in headers if got.all(name)] == []


def test_redirects_to_the_apps_internal_name_are_rewritten(world: WebWorld) -> None:
    """P11."""
    alice = world.session("alice")
    for there in (world.echo.uri, f"https://127.0.0.1:{world.echo.port}"):
        world.echo.answers["/go"] = answer(302, b"", ("Location", f"{there}/next?x=1"))
        assert world.request("GET", "/go", session=alice).get("Location") == f"{world.origin()}/next?x=1"
    world.echo.answers["/go"] = answer(302, b"", ("Location", "/plain"))
    assert world.request("GET", "/go", session=alice).get("Location") == "/plain"


def test_odd_methods_are_denied(world: WebWorld) -> None:
    """P22."""
    alice = world.session("alice")
    for method in ("TRACE", "CONNECT", "PRI", "get", "X" * 1024, "FOO", "TRACK", "PROPFIND"):
        with contextlib.suppress(ValueError):  # closed without an answer
            assert world.request(method, "/", session=alice).status in (400, 403, 404, 405, 501), method
    assert world.echo.heads == 0


def test_h2c_is_not_tunnelled(world: WebWorld) -> None:
    """P25: nor is an answer to leave HTTP that nobody asked for."""
    alice = world.session("alice")
    settings = base64.urlsafe_b64encode(b"\0\3\0\0\0\x64").decode()
    more = f"Upgrade: h2c\r\nHTTP2-Settings: {settings}\r\nOrigin: {world.origin()}\r\n"
    assert world.request("GET", "/", session=alice, more=more).status == 200
    assert world.echo.last.all("Upgrade") == []
    assert world.echo.last.all("HTTP2-Settings") == []
    got = world.request("GET", "/rogue-101", {"Accept": "text/event-stream"}, session=alice)
    assert got.status == 502
    assert b"raw bytes" not in got.body


def test_no_body_reaches_the_app_before_the_decision(world: WebWorld) -> None:
    """P28: with and without `Expect: 100-continue`; a refused upload is not begun."""
    charlie = world.session("charlie")
    lines = f"POST /up HTTP/1.1\r\nHost: {world.host()}:{world.port}\r\nCookie: {charlie.cookie}\r\n"
    with socket.create_connection(("127.0.0.1", world.port), timeout=10) as sock:
        sock.sendall(f"{lines}Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert read_answer(sock).status == 403
    assert world.echo.heads == 0
    big = b"x" * 3_000_000
    got = world.request("POST", "/up", {}, big, session=world.session("alice"))
    assert (got.status, got.json()["size"]) == (200, len(big))


def test_large_downloads_and_ranges_pass(world: WebWorld) -> None:
    alice = world.session("alice")
    assert len(world.request("GET", "/big?size=20000000", session=alice).body) == 20_000_000
    world.request("GET", "/", {"Range": "bytes=0-5"}, session=alice)
    assert world.echo.last.get("Range") == "bytes=0-5"


def claims_of(world: WebWorld, token: str) -> tuple[dict[str, object], dict[str, object]]:
    keys = KeySet.import_key_set(world.request("GET", "/.well-known/jwks.json", host=world.env.host).json())
    decoded = jwt.decode(token, keys, algorithms=["ES256"])
    return decoded.header, decoded.claims


def test_the_assertion_is_for_this_app_and_short(world: WebWorld) -> None:
    """P29: ES256, aud, iss, exp within 60 s, iat, jti, a published kid; another app gets another one."""
    login = world.login("alice")
    world.request("GET", "/", session=world.session("alice", login=login))
    header, claims = claims_of(world, world.echo.last.get("X-Postern-Assertion"))
    assert header["alg"] == "ES256"
    assert (claims["aud"], claims["iss"]) == (world.origin(), world.env.url)
    assert (claims["sub"], claims["groups"]) == (str(login.user_id), ["ops"])
    assert claims["jti"]
    assert 0 < int(str(claims["exp"])) - time.time() <= 60
    world.request("GET", "/", session=world.session("alice", "files", login=login), host=world.host("files"))
    assert claims_of(world, world.echo.last.get("X-Postern-Assertion"))[1]["aud"] == world.origin("files")


def test_the_key_of_assertions_rotates_with_both_published(world: WebWorld) -> None:
    """P29: overlap."""
    alice = world.session("alice")
    world.request("GET", "/", session=alice)
    old = world.echo.last.get("X-Postern-Assertion")
    rotate_signing_key(system("test"))

    def other_key() -> bool:
        world.request("GET", "/", session=world.session("alice"))
        new = world.echo.last.get("X-Postern-Assertion")
        return claims_of(world, new)[0]["kid"] != claims_of(world, old)[0]["kid"]

    wait_for(other_key, "the old key is still used")


def test_headers_of_an_app_are_set_and_removed_as_written(world: WebWorld) -> None:
    """Values are words, not nginx's variables."""
    document = """
kind: app
metadata: {name: files, labels: {env: dev}}
spec:
  uri: URI
  host: public
  headers:
    set: {X-Secret: 'a "quoted" \\ $host ${remote_addr}', X-Webauth-User: fixed}
    remove: [User-Agent]
"""
    world.apply(document.replace("URI", world.echo.uri))
    alice = world.session("alice", "files")

    def rewritten() -> bool:
        world.request("GET", "/", {"User-Agent": "me"}, session=alice, host=world.host("files"))
        return bool(world.echo.last.all("X-Secret"))

    wait_for(rewritten, "nginx did not take the change")
    assert world.echo.last.get("X-Secret") == 'a "quoted" \\ $host ${remote_addr}'
    assert world.echo.last.get("X-Webauth-User") == "fixed"
    assert world.echo.last.all("User-Agent") == []
    assert world.echo.last.get("Host") == f"{world.host('files')}:{world.port}"


def certificate(path: Path, name: str) -> tuple[str, str]:
    """A self-signed certificate for a name."""
    import subprocess

    key, crt = path / f"{name}.key", path / f"{name}.crt"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([*argv, "-keyout", str(key), "-out", str(crt), *subject], check=True, capture_output=True)
    return str(crt), str(key)


def test_an_https_upstream_is_verified_and_never_replaced_by_plain_http(world: WebWorld, tmp_path: Path) -> None:
    """P32: self-signed is refused unless it is the CA named, and under its right name; WebSockets alike."""
    crt, key = certificate(tmp_path, "secure.internal")
    pem = Path(crt).read_text()
    alice = world.session("alice", "files")

    def apply(tls: str) -> None:
        spec = f"{{uri: 'https://127.0.0.1:{tls_echo.port}', tls: {tls}}}"
        world.apply(f"{{kind: app, metadata: {{name: files, labels: {{env: dev}}}}, spec: {spec}}}")

    def status() -> int:
        return world.request("GET", "/", session=alice, host=world.host("files")).status

    def websocket_works() -> bool:
        try:
            with world.websocket(alice, app="files") as ws:
                ws.send("x")
                return ws.recv(5) == "x"
        except Exception:
            return False

    with Echo(tls=tls_context(crt, key)) as tls_echo:
        apply("{}")
        wait_for(lambda: status() == 502, "a self-signed upstream was accepted")
        plain = world.echo.heads
        assert not websocket_works()
        apply(json.dumps({"ca": pem, "server_name": "other.internal"}))
        conf = world.env.run_dir / "nginx" / "nginx.conf"
        wait_for(lambda: "other.internal" in conf.read_text(), "nginx was not told")
        assert status() == 502
        assert not websocket_works()
        assert tls_echo.heads == 0
        apply(json.dumps({"ca": pem, "server_name": "secure.internal"}))
        wait_for(lambda: status() == 200, "a verified upstream is not reached")
        assert websocket_works()
        assert world.echo.heads == plain
