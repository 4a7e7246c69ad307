"""What is not believed of a provider's discovery document, and how little a provider can do to us."""

from __future__ import annotations

import datetime
import gzip
import ssl
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from accounts import connectors
from accounts.models import Connector, ProviderFlow
from accounts.oidc import discovery, fetching
from accounts.oidc.errors import ProviderFailed
from broker.asgi import THREADS
from broker.models import AuditEvent
from tests.accounts.oidc.conftest import ConnectorMaker, Traveller, assert_refused, words
from tests.accounts.oidc.provider import HostileProvider
from tests.conftest import Person, new_client

pytestmark = pytest.mark.django_db

LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"issuer": "https://evil.example"}, "other-issuer"),
    "an issuer with a slash more": ({"issuer": "SAME/"}, "other-issuer"),
    "no issuer": ({"issuer": None}, "other-issuer"),
    "a list of issuers": ({"issuer": ["SAME"]}, "other-issuer"),
    "token endpoint elsewhere": ({"token_endpoint": "https://evil.example/token"}, "other-host"),
    "authorization elsewhere": ({"authorization_endpoint": "https://evil.example/"}, "other-host"),
    "keys elsewhere": ({"jwks_uri": "https://evil.example/keys"}, "other-host"),
    "userinfo elsewhere": ({"userinfo_endpoint": "https://evil.example/"}, "other-host"),
    "sign-out elsewhere": ({"end_session_endpoint": "https://evil.example/"}, "other-host"),
    "another port": ({"token_endpoint": "http://127.0.0.1:1/token"}, "other-host"),
    "the metadata address": ({"jwks_uri": "http://169.254.169.254/keys"}, "not-https"),
    "plain http": ({"token_endpoint": "http://id.example.com/token"}, "not-https"),
    "a file": ({"jwks_uri": "file:///etc/passwd"}, "not-https"),
    "a script": ({"authorization_endpoint": "javascript:alert(1)"}, "not-https"),
    "a user in the address": ({"token_endpoint": "https://127.0.0.1@evil.example/"}, "bad-endpoint"),
    "a backslash": ({"token_endpoint": "https://127.0.0.1\\@evil.example/"}, "bad-endpoint"),
    "a fragment": ({"authorization_endpoint": "SAME/authorize#x"}, "bad-endpoint"),
    "a line break": ({"authorization_endpoint": "SAME/authorize\r\nX: y"}, "bad-endpoint"),
    "a number": ({"token_endpoint": 1}, "bad-endpoint"),
    "a port that is none": ({"token_endpoint": "https://127.0.0.1:x/"}, "bad-endpoint"),
    "no keys": ({"jwks_uri": None}, "no-endpoint"),
    "no token endpoint": ({"token_endpoint": ""}, "not-https"),
    "no PKCE": ({"code_challenge_methods_supported": ["plain"]}, "no-pkce"),
    "no code flow": ({"response_types_supported": ["id_token"]}, "no-code-flow"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_document_that_must_not_be_believed(
    op: HostileProvider, corp: Connector, traveller: Traveller, name: str
) -> None:
    """L13."""
    lie, why = LIES[name]
    op.discovery = {key: _filled(value, op) for key, value in lie.items()}
    page = traveller.browser.post("/oidc/corp/sign-in")
    assert_refused(page, why, 503)
    assert not ProviderFlow.objects.exists()


def _filled(value: Any, op: HostileProvider) -> Any:
    if isinstance(value, list):
        return [_filled(item, op) for item in value]
    return value.replace("SAME", op.issuer) if isinstance(value, str) else value


def test_an_endpoint_on_another_host_is_believed_only_if_the_connector_names_it(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    """L13: as Google has it."""
    op.discovery = {"authorization_endpoint": "https://login.example.com/a"}
    connect("corp", endpoint_hosts=["keys.example.com", "login.example.com:8443"])
    assert_refused(traveller.browser.post("/oidc/corp/sign-in"), "other-host", 503)
    connect("named", endpoint_hosts=["login.example.com"])
    assert traveller.go("named").startswith("https://login.example.com/a?")


@pytest.mark.parametrize("where", ["http://169.254.169.254/latest/meta-data", "https://evil.example/", "//x", "/keys"])
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
def test_redirects_are_not_followed(
    op: HostileProvider, corp: Connector, traveller: Traveller, path: str, where: str
) -> None:
    """L13b."""
    op.paths[path] = lambda: (302, {"Location": where}, b"{}")
    if path.startswith("/.well-known"):
        page: Any = traveller.browser.post("/oidc/corp/sign-in")
    else:
        page = traveller.there_and_back()
    assert_refused(page, "redirected", 503)
    assert op.asked.count("/keys") <= 1


ANSWERS = {
    "an error": ((500, {}, b"oops"), "bad-status"),
    "a page": ((200, {"Content-Type": "text/html"}, b"<html>"), "not-json"),
    "a list": ((200, {}, b"[]"), "not-json"),
    "nothing": ((200, {}, b""), "not-json"),
    "too much": ((200, {}, b" " * (fetching.MAX_BYTES + 1)), "answer-too-large"),
    "depth": ((200, {}, b"[" * 500_000), "not-json"),
    "a bomb": ((200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * 50_000_000)), "compressed"),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
def test_answers_that_are_none(
    op: HostileProvider, corp: Connector, traveller: Traveller, path: str, name: str
) -> None:
    """L13: bounded, and never more than an error page."""
    answer, why = ANSWERS[name]
    op.paths[path] = lambda: answer
    if path.startswith("/.well-known"):
        page: Any = traveller.browser.post("/oidc/corp/sign-in")
    else:
        page = traveller.there_and_back()
    assert_refused(page, why, 503)
    assert not traveller.got_past_the_first_step


def test_a_provider_that_drips_is_cut_off(
    op: HostileProvider, corp: Connector, traveller: Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte at a time, each well within the time-out of a read."""
    monkeypatch.setattr(fetching, "TOTAL_SECONDS", 0.6)
    over = threading.Event()

    def drip() -> Any:
        over.wait(5)
        return 200, {}, b"{}"

    op.paths["/.well-known/openid-configuration"] = drip
    began = time.monotonic()
    page = traveller.browser.post("/oidc/corp/sign-in")
    over.set()
    assert_refused(page, "provider-slow", 503)
    assert time.monotonic() - began < 3


@pytest.mark.django_db(transaction=True)
def test_the_provider_is_down_and_local_sign_in_is_not(
    op: HostileProvider, corp: Connector, traveller: Traveller, alice: Person
) -> None:
    """L28: an error, no weaker way in, said once in the log; and said again when it is over."""
    url = traveller.go()
    op.stop()
    answer = op.grant(url)
    discovery.forget()
    for _ in range(2):
        assert_refused(traveller.browser.post("/oidc/corp/sign-in"), "provider-unreachable", 503)
    assert_refused(traveller.back(answer), "provider-unreachable", 503)
    assert not traveller.got_past_the_first_step
    assert AuditEvent.objects.filter(name="connector.failed").count() == 1
    corp.refresh_from_db()
    assert "refused the connection" in corp.problem
    browser = new_client()
    page = browser.get("/sign-in")
    assert "Sign in with corp" in words(page)
    sent = browser.post("/sign-in", {"username": "alice", "password": alice.password})
    assert sent["Location"] == "/sign-in/second-factor"


def test_providers_that_hang_leave_threads_for_others(
    op: HostileProvider, corp: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L28: no more conversations at a time than AT_A_TIME; who comes on top is told so at once."""
    monkeypatch.setattr(fetching, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(fetching, "_conversations", threading.BoundedSemaphore(1))
    with fetching.conversation("token endpoint"), pytest.raises(ProviderFailed) as busy:
        with fetching.conversation("token endpoint"):
            pass
    assert busy.value.why == "provider-busy"


def test_a_provider_that_hangs_is_waited_for_by_few(
    op: HostileProvider, corp: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L28: all who sign in there want the same document; while one asks for it, the others' threads stay free."""
    spec, goes_on = connectors.oidc_spec(corp), threading.Event()
    said: list[str] = []

    def hangs(_: Any) -> discovery.Provider:
        with fetching.conversation("discovery document"):
            goes_on.wait(10)
        raise ProviderFailed("provider-slow", "it did not answer in time")

    def asks() -> None:
        try:
            discovery.provider_of(spec)
        except ProviderFailed as error:
            said.append(error.why)

    monkeypatch.setattr(discovery, "_fetch", hangs)
    monkeypatch.setattr(fetching, "WAIT_SECONDS", 8.0)
    threads = [threading.Thread(target=asks, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        until = time.monotonic() + 5
        while not said and time.monotonic() < until:
            time.sleep(0.01)
        assert set(said) == {"provider-busy"}
        assert fetching.AT_A_TIME + fetching.MOST_WAITING < THREADS
    finally:
        goes_on.set()
        for thread in threads:
            thread.join(10)
    assert len(said) == THREADS


def test_what_is_known_is_given_while_somebody_asks_for_something_newer() -> None:
    """Anybody may send a logout token with an unknown key id: that must hold up nobody who signs in."""
    kept: discovery.Kept[str] = discovery.Kept(60)
    kept.get("key", lambda: "known")
    goes_on, asked = threading.Event(), threading.Event()

    def hangs() -> str:
        asked.set()
        goes_on.wait(10)
        return "newer"

    later = time.monotonic()
    asking = threading.Thread(target=kept.get, args=("key", hangs, later))
    asking.start()
    try:
        assert asked.wait(5)
        found: list[str] = []
        other = threading.Thread(target=lambda: found.append(kept.get("key", hangs)), daemon=True)
        other.start()
        other.join(1)
        assert found == ["known"]
    finally:
        goes_on.set()
        asking.join(10)
    assert kept.get("key", hangs) == "newer"


def test_a_failure_is_remembered_for_a_moment(op: HostileProvider, corp: Connector, traveller: Traveller) -> None:
    op.discovery = {"issuer": "https://evil.example"}
    for _ in range(5):
        traveller.browser.post("/oidc/corp/sign-in")
    assert op.asked.count("/.well-known/openid-configuration") == 1


def test_the_document_is_kept_for_a_while(op: HostileProvider, corp: Connector, traveller: Traveller) -> None:
    for _ in range(3):
        traveller.go()
    assert op.asked == ["/.well-known/openid-configuration"]


# --- TLS --------------------------------------------------------------------------------------------------------------


def _certificate(tmp_path: Path, *, address: str, days: int) -> tuple[ssl.SSLContext, str]:
    """A server's context with a self-signed certificate, and that certificate."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provider")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(Encoding.PEM)
    path = tmp_path / "server.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, pem.decode()


@pytest.fixture
def _fresh() -> Iterator[None]:
    discovery.forget()
    connectors.forget()
    yield
    discovery.forget()


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize(
    "address, days, trusted, words_for_it",
    [
        ("127.0.0.1", 10, False, "self-signed"),
        ("127.0.0.1", -1, True, "expired"),
        ("127.0.0.2", 10, True, "IP address mismatch"),
    ],
)
def test_a_certificate_that_is_not_right_ends_the_conversation(
    tmp_path: Path, address: str, days: int, trusted: bool, words_for_it: str
) -> None:
    """L31: self-signed, expired, for another host."""
    context, pem = _certificate(tmp_path, address=address, days=days)
    with HostileProvider(context) as op:
        _connector(op, pem if trusted else "")
        page = new_client().post("/oidc/corp/sign-in")
        assert_refused(page, "provider-unreachable", 503)
        assert words_for_it in words(page)
        assert op.asked == []


@pytest.mark.usefixtures("_fresh")
def test_a_connector_may_have_an_authority_of_its_own(tmp_path: Path) -> None:
    context, pem = _certificate(tmp_path, address="127.0.0.1", days=10)
    with HostileProvider(context) as op:
        _connector(op, pem)
        assert Traveller(op).there_and_back()["Location"] == "/sign-in/enrol"


def _connector(op: HostileProvider, ca: str) -> None:
    from tests.accounts.oidc.provider import CLIENT_ID, CLIENT_SECRET

    spec = {"issuer": op.issuer, "client_id": CLIENT_ID, "create_users": True, **({"ca": ca} if ca else {})}
    document = {"kind": "oidc", "metadata": {"name": "corp"}, "spec": spec}
    Connector.objects.create(kind="oidc", name="corp", document=document, secret=CLIENT_SECRET)
