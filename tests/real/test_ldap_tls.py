"""The way to the directory: encrypted and verified before anything secret goes over it, and no referral followed."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from accounts.directory.connection import bound
from accounts.directory.directory import Directory
from accounts.directory.entry import Down
from broker.documents.connector_spec import LdapSpec
from tests.real.ldap_world import _nothing_remembered, connect, reasons, type_in
from tests.real.slapd import GROUPS, PEOPLE, READER, READER_PASSWORD, Slapd, password_of

__all__ = ["_nothing_remembered"]
pytestmark = pytest.mark.real

Files = tuple[Path, Path, Path]
NOW = datetime.datetime.now(datetime.UTC)


class Authority:
    """Signs certificates of servers."""

    def __init__(self, at: Path, name: str) -> None:
        self.at = at / name
        self.at.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._signed(self._name, self._key, [], NOW + datetime.timedelta(days=1), ca=True)

    @property
    def pem(self) -> str:
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def server(self, *names: str, expired: bool = False) -> Files:
        """Files of a server that is called by these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = NOW + datetime.timedelta(hours=-1 if expired else 24)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = self._signed(subject, key, list(names), until)
        at = self.at / f"{names[0]}-{expired}"
        at.mkdir()
        (at / "certificate").write_bytes(certificate.public_bytes(Encoding.PEM))
        (at / "key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (at / "ca").write_text(self.pem)
        return at / "certificate", at / "key", at / "ca"

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: list[str],
        until: datetime.datetime,
        ca: bool = False,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=1))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), False)
        return builder.sign(self._key, hashes.SHA256())


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ours")


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "another")


@pytest.fixture(scope="module")
def encrypted(authority: Authority) -> Iterator[Slapd]:
    with Slapd(tls=authority.server("127.0.0.1")) as server:
        yield server


def spec(server: Slapd, ca: str = "", *, start_tls: bool = True, url: str = "") -> LdapSpec:
    return LdapSpec(
        "corp",
        (url or (server.url if start_tls else server.tls_url),),
        bind_dn=READER,
        start_tls=start_tls,
        ca=ca,
        user_base=PEOPLE,
        user_filter="(uid={name})",
        uuid_attribute="entryUUID",
        username_attribute="uid",
        group_base=GROUPS,
        group_filter="(objectClass=groupOfNames)",
        timeout=2.0,
    )


BOTH = pytest.mark.parametrize("start_tls", [True, False], ids=["StartTLS", "LDAPS"])


def refused(server: Slapd, wrong: LdapSpec) -> str:
    """Why the connection is refused; no bind may have reached the server."""
    before = server.log().count(" BIND dn=")
    with pytest.raises(Down) as told:
        Directory(wrong, READER_PASSWORD).find("alice")
    with pytest.raises(Down):
        bound(wrong, f"uid=alice,{PEOPLE}", password_of("alice"))
    assert server.log().count(" BIND dn=") == before, "a credential was sent"
    return told.value.message


# --- refused ----------------------------------------------------------------------------------------------------------


@BOTH
def test_an_unknown_authority_is_refused(encrypted: Slapd, another: Authority, start_tls: bool) -> None:
    """L27, L31."""
    refused(encrypted, spec(encrypted, another.pem, start_tls=start_tls))


@BOTH
def test_the_systems_authorities_do_not_vouch_for_ours(encrypted: Slapd, start_tls: bool) -> None:
    """L27, L31."""
    refused(encrypted, spec(encrypted, start_tls=start_tls))


@BOTH
@pytest.mark.parametrize("wrong", ["another host", "expired"])
def test_a_certificate_of_another_host_or_an_old_one_is_refused(
    authority: Authority, start_tls: bool, wrong: str
) -> None:
    """L27, L31."""
    names = ("ldap.example.com", "127.0.0.2") if wrong == "another host" else ("127.0.0.1",)
    files = authority.server(*names, expired=wrong == "expired") if not start_tls else None
    files = files or Authority(authority.at, f"again-{wrong}").server(*names, expired=wrong == "expired")
    ca = files[2].read_text()
    with Slapd(tls=files) as server:
        refused(server, spec(server, ca, start_tls=start_tls))


def test_a_refusal_for_one_address_does_not_open_the_next_unencrypted(encrypted: Slapd, another: Authority) -> None:
    """L27."""
    wrong = spec(encrypted, another.pem, start_tls=False)
    both = replace(wrong, urls=(encrypted.tls_url, "ldap://192.0.2.1"))
    assert "in the clear" in refused(encrypted, both)


def test_a_server_without_starttls_gets_no_credential() -> None:
    """L27: stripped StartTLS."""
    with Slapd() as plain:
        assert "StartTLS failed" in refused(plain, spec(plain))


def test_clear_text_goes_to_this_machine_only(encrypted: Slapd) -> None:
    """L27: whatever a damaged document says."""
    for url in ("ldap://192.0.2.1", "ldap://ldap.example.com", "ldapi://%2Ftmp%2Fx", "http://127.0.0.1"):
        wrong = LdapSpec("corp", (url,), bind_dn=READER, user_base=PEOPLE, user_filter="(uid={name})")
        with pytest.raises(Down) as told:
            bound(wrong, READER, READER_PASSWORD)
        assert "in the clear" in told.value.message


class Recorder:
    """Takes connections, keeps what comes, and answers StartTLS as it likes."""

    def __init__(self, answer: bytes = b"") -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.seen: list[bytes] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(3)
                try:
                    while data := connection.recv(65536):
                        self.seen.append(data)
                        connection.sendall(self._answer)
                except OSError:
                    continue

    def close(self) -> None:
        self._listener.close()


STARTTLS = b"1.3.6.1.4.1.1466.20037"
SUCCESS = bytes.fromhex("300c02010178070a010004000400")
PROTOCOL_ERROR = bytes.fromhex("300c02010178070a010204000400")


@pytest.mark.parametrize("answer", [SUCCESS, PROTOCOL_ERROR, b"", b"\0" * 40], ids=["yes", "no", "silence", "rubbish"])
def test_somebody_in_between_who_answers_starttls_learns_nothing(authority: Authority, answer: bytes) -> None:
    """L27: whatever they answer, nothing but StartTLS and a handshake is sent."""
    recorder = Recorder(answer)
    try:
        wrong = spec(None, authority.pem, url=f"ldap://127.0.0.1:{recorder.port}")  # type: ignore[arg-type]
        for dn, password in ((READER, READER_PASSWORD), (f"uid=alice,{PEOPLE}", password_of("alice"))):
            with pytest.raises(Down):
                bound(wrong, dn, password)
        sent = b"".join(recorder.seen)
        assert STARTTLS in sent
        for secret in (READER_PASSWORD, password_of("alice"), READER, "uid=alice"):
            assert secret.encode() not in sent
    finally:
        recorder.close()


@pytest.mark.django_db(transaction=True)
def test_referrals_are_not_followed(tmp_path: Path) -> None:
    """L27: neither those a search returns nor those a bind does; the other server hears nothing at all."""
    elsewhere = Recorder()
    away = f"ldap://127.0.0.1:{elsewhere.port}"
    lines = ["objectClass: referral", "objectClass: extensibleObject"]
    one = "\n".join([f"dn: ou=away,{PEOPLE}", *lines, "ou: away", f"ref: {away}/ou=away,{PEOPLE}"])
    two = "\n".join([f"dn: uid=mallory,{PEOPLE}", *lines, "uid: mallory", f"ref: {away}/uid=mallory,{PEOPLE}"])
    try:
        with Slapd() as server:
            server.add(one, two)
            corp = connect(server)
            for name in ("mallory", f"uid=mallory,{PEOPLE}", f"uid=x,ou=away,{PEOPLE}"):
                assert type_in(name, "a password to catch").status == 422
            assert type_in("bob", password_of("bob")).status == 302, "a referral among the answers is no answer"
            directory = Directory(spec(server, start_tls=True, url=server.url), READER_PASSWORD)
            directory.spec = LdapSpec("corp", (server.url,), bind_dn=READER)
            assert not directory._binds(f"uid=x,ou=away,{PEOPLE}", "a password to catch")
            corp.refresh_from_db()
            assert corp.problem == ""
        assert elsewhere.seen == []
        assert reasons() == []
    finally:
        elsewhere.close()


# --- allowed ----------------------------------------------------------------------------------------------------------


@BOTH
def test_a_certificate_of_our_authority_for_this_host_is_good(
    encrypted: Slapd, authority: Authority, start_tls: bool
) -> None:
    directory = Directory(spec(encrypted, authority.pem, start_tls=start_tls), READER_PASSWORD)
    entry = directory.find("alice")
    assert entry is not None
    assert directory.groups_of(entry) == ("sre", "staff")
    assert directory.accepts(entry, password_of("alice"))
    assert not directory.accepts(entry, "wrong")
    assert "TLS established" in encrypted.log()


def test_one_process_trusts_different_authorities_for_different_directories(
    encrypted: Slapd, authority: Authority, another: Authority
) -> None:
    """Options that were global would let one directory's authority vouch for another's server."""
    right, wrong = spec(encrypted, authority.pem), spec(encrypted, another.pem)
    for _ in range(2):
        assert Directory(right, READER_PASSWORD).find("alice")
        with pytest.raises(Down):
            Directory(wrong, READER_PASSWORD).find("alice")


def test_the_next_address_is_asked_when_the_first_is_dead(encrypted: Slapd, authority: Authority) -> None:
    working = spec(encrypted, authority.pem, start_tls=False)
    both = replace(working, urls=("ldaps://127.0.0.1:9", encrypted.tls_url))
    assert Directory(both, READER_PASSWORD).find("alice")


class Silent(Recorder):
    """Answers the first thing it hears, and then nothing any more."""

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            self.seen.append(connection.recv(65536))
            connection.sendall(self._answer)
            while data := connection.recv(65536):
                self.seen.append(data)


@BOTH
def test_a_handshake_that_is_not_answered_ends_in_time(authority: Authority, start_tls: bool) -> None:
    """L28: a directory that takes connections and hangs holds no thread that people wait on, and learns nothing."""
    silent = Silent(SUCCESS if start_tls else b"")
    try:
        url = f"{'ldap' if start_tls else 'ldaps'}://127.0.0.1:{silent.port}"
        hangs = spec(None, authority.pem, start_tls=start_tls, url=url)  # type: ignore[arg-type]
        tried = threading.Thread(target=refused_by, args=(replace(hangs, timeout=0.5),), daemon=True)
        tried.start()
        tried.join(5)
        assert not tried.is_alive()
        assert silent.seen
        assert READER_PASSWORD.encode() not in b"".join(silent.seen)
    finally:
        silent.close()


def refused_by(wrong: LdapSpec) -> None:
    with pytest.raises(Down):
        bound(wrong, READER, READER_PASSWORD)
