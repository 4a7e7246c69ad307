"""The HTTP client: where it goes, what it refuses, and how failures read."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from postern import client, names
from postern.client import Broker, Response, checked_url, problem_of
from postern.errors import CliError, Denied, Exit, LoginNeeded, Missing, Refused, Unreachable, UsageProblem
from postern.token_key import TokenKey

from tests.cli.broker_double import TOKEN, BrokerDouble


@pytest.mark.parametrize(
    "text",
    [
        "http://access.example.com",
        "http://10.0.0.1:8080",
        "http://localhost.example.com",
        "http://notlocalhost",
        "http://127.0.0.1.example.com",
        "ftp://access.example.com",
        "https://",
        "https://alice:secret@access.example.com",
        "https://access.example.com/path",
        "https://access.example.com?x=1",
        "https://access example.com",
        "https://access.example.com:port",
        "https://-x.example.com",
        "https://a\nb",
        "",
    ],
)
def test_an_address_that_would_leak_credentials_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem):
        checked_url(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Access.Example.com/", "https://access.example.com"),
        ("https://access.example.com:443", "https://access.example.com"),
        ("access.example.com", "https://access.example.com"),
        ("access.example.com:8443", "https://access.example.com:8443"),
        ("http://postern.localhost:8080", "http://postern.localhost:8080"),
        ("postern.localhost:8080", "http://postern.localhost:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_an_address_has_one_spelling(text: str, url: str) -> None:
    assert checked_url(text) == url


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("localhost", True),
        ("postern.LOCALHOST.", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.evil.example", False),
        ("127.evil.example.com", False),
        ("127.0.0.1.nip.io", False),
        ("xlocalhost", False),
        ("128.0.0.1", False),
    ],
)
def test_loopback_is_known_by_name(host: str, is_here: bool) -> None:
    assert names.is_loopback(host) is is_here


def test_names_under_localhost_are_dialled_here_without_a_resolver(
    broker: BrokerDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def refusing(host: str, *more: object, **other: object) -> object:
        assert host in ("127.0.0.1", "::1"), f"asked the resolver for {host}"
        return real(host, *more, **other)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", refusing)
    assert Broker(broker.url, TOKEN, broker.new_token_key()).get("status")["user"] == "alice"
    assert broker.asked[0].headers["Host"] == broker.url.removeprefix("http://")


def test_proxies_in_the_environment_see_nothing(broker: BrokerDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert Broker(broker.url, TOKEN, broker.new_token_key()).get("status")["user"] == "alice"


def test_a_redirect_is_not_followed_and_takes_no_token_along(broker: BrokerDouble) -> None:
    broker.answers["GET /api/v1/status"] = (302, None)
    with pytest.raises(CliError, match="sends us to elsewhere"):
        Broker(broker.url, TOKEN, broker.new_token_key()).get("status")
    assert len(broker.asked) == 1


def test_nobody_listening_is_said_with_what_to_do(broker: BrokerDouble) -> None:
    broker.close()
    with pytest.raises(Unreachable) as caught:
        Broker(broker.url, TOKEN, broker.new_token_key()).get("status")
    assert caught.value.message == f"cannot reach {broker.url}: connection refused"
    assert caught.value.hint == "is the broker running on this machine? start it with: bin/run"


def test_a_broker_that_does_not_answer_is_given_up(broker: BrokerDouble) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(Unreachable, match="no answer in time"):
            Broker(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN, TokenKey.new(), timeout=0.2).get("status")


def test_what_is_no_http_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as odd:
        url = f"http://127.0.0.1:{odd.getsockname()[1]}"

        def babble() -> None:
            connection, _ = odd.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        threading.Thread(target=babble, daemon=True).start()
        with pytest.raises(Unreachable, match="cannot reach"):
            Broker(url).ping()


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Something that answers over TLS with a certificate of its own making, and that certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a private authority")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("postern.localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(private)
    (tmp_path / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"https://postern.localhost:{server.server_port}", tmp_path / "ca.pem"
    server.shutdown()
    server.server_close()


def test_a_certificate_nobody_vouches_for_is_refused(tls_broker: tuple[str, Path]) -> None:
    with pytest.raises(Unreachable, match="its certificate is not trusted: self-signed certificate") as caught:
        Broker(tls_broker[0], TOKEN, TokenKey.new()).get("status")
    assert "POSTERN_CA_FILE" in caught.value.hint


def test_an_authority_of_ones_own_is_trusted_for_the_names_it_wrote(
    tls_broker: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, authority = tls_broker
    monkeypatch.setenv("POSTERN_CA_FILE", str(authority))
    assert Broker(url, TOKEN, TokenKey.new()).get("status") == {}
    with pytest.raises(Unreachable, match="not trusted: hostname mismatch"):
        Broker(url.replace("postern.localhost", "other.localhost"), TOKEN, TokenKey.new()).get("status")


def test_a_missing_authority_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTERN_CA_FILE", "/nonexistent/ca.pem")
    with pytest.raises(CliError, match="/nonexistent/ca.pem"):
        client.tls_context()


def answer(status: int, body: bytes = b"{}", kind: str = "application/problem+json", **headers: str) -> Response:
    return Response(status, {"content-type": kind, **headers}, body)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, LoginNeeded, Exit.LOGIN_NEEDED),
        (403, Denied, Exit.DENIED),
        (404, Missing, Exit.FAILURE),
        (409, Refused, Exit.FAILURE),
        (422, Refused, Exit.FAILURE),
        (429, CliError, Exit.FAILURE),
        (500, CliError, Exit.FAILURE),
        (503, CliError, Exit.FAILURE),
    ],
)
def test_each_status_has_its_exit_code(status: int, error: type[CliError], code: Exit) -> None:
    problem = problem_of("https://b", answer(status, b'{"detail": "words", "request_id": "r1"}'))
    assert type(problem) is error
    assert problem.code == code
    assert problem.request_id == "r1"


def test_a_page_instead_of_json_still_makes_a_sentence() -> None:
    problem = problem_of("https://b", answer(502, b"<html>", "text/html", **{"x-request-id": "r2"}))
    assert (problem.message, problem.request_id) == ("https://b answered 502", "r2")


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'"text"', b'{"reasons": ["x"], "problems": [1]}'])
def test_a_problem_that_is_none_does_not_break_the_client(body: bytes) -> None:
    assert problem_of("https://b", answer(403, body)).code == Exit.DENIED
    assert problem_of("https://b", answer(422, body)).code == Exit.FAILURE


def test_problems_read_like_a_compilers() -> None:
    body = b"""{"detail": "the documents cannot be read", "problems": [
        {"source": "dev.yaml", "line": 7, "path": "spec.alow", "message": "unknown key", "hint": "did you mean allow?"},
        {"message": "no name"}]}"""
    problem = problem_of("https://b", answer(422, body))
    assert problem.lines == ("dev.yaml:7: spec.alow: unknown key (did you mean allow?)", "no name")


def test_all_pages_of_a_list_are_fetched(broker: BrokerDouble) -> None:
    pages = {"": ([1, 2], "b"), "b": ([3], None)}

    def page(asked: object) -> tuple[int, object]:
        items, following = pages[asked.query.get("cursor", "")]  # type: ignore[attr-defined]
        return 200, {"items": items, "next": following}

    broker.answers["GET /api/v1/resources"] = page
    assert Broker(broker.url, TOKEN, broker.new_token_key()).items("resources") == [1, 2, 3]
    assert Broker(broker.url, TOKEN, broker.new_token_key()).items("resources", at_most=2) == [1, 2]


def test_a_name_in_a_path_stays_one_part(broker: BrokerDouble) -> None:
    with pytest.raises(Missing):
        Broker(broker.url, TOKEN, broker.new_token_key()).delete("admin", "role", "../user/alice?x#y")
    assert broker.asked[0].path == "/api/v1/admin/role/..%2Fuser%2Falice%3Fx%23y"
