"""Certificates we sign, at the door of real OpenSSH servers and clients."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker import ca
from broker.ca import ACCESS, HOST, IDENTITY, CertificateKind, CertificateTemplate, Profile, PublicKey, Revoked
from broker.ca.signer import public_key_of
from broker.keystore import generate_ca_key
from tests.real.sshd import ME, Sshd, ssh

pytestmark = pytest.mark.real

KEY_TYPES = {
    "ssh-ed25519": ("ed25519", "256"),
    "ecdsa-sha2-nistp256": ("ecdsa", "256"),
    "ecdsa-sha2-nistp384": ("ecdsa", "384"),
    "ecdsa-sha2-nistp521": ("ecdsa", "521"),
    "ssh-rsa": ("rsa", "3072"),
}
CA_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256")


@dataclass(frozen=True)
class Authorities:
    """A user CA and a host CA of one algorithm."""

    user: ca.Signer
    host: ca.Signer

    @property
    def known_hosts(self) -> str:
        return f"@cert-authority * {public_key_of(self.host).line}"

    @property
    def user_line(self) -> str:
        return public_key_of(self.user).line

    def issue(self, template: CertificateTemplate, profile: Profile, now: int | None = None) -> str:
        at = int(time.time()) if now is None else now
        signer = self.user if profile.kind is CertificateKind.USER else self.host
        return ca.sign(ca.lint(template, profile, at), signer, os.urandom(32))

    def access(self, key: PublicKey, *, server: str = "db-1", age: int = 0, **changes: object) -> str:
        """Alice's certificate for this account on db-1, made `age` seconds ago."""
        now = int(time.time()) - age
        given: dict[str, object] = {
            "serial": 1, "subject_name": "alice", "login": ME, "server": server, "key": key, "now": now, "ttl": 60,
        }  # fmt: skip
        return self.issue(ca.access_template(**(given | changes)), ACCESS, now)  # type: ignore[arg-type]

    def certify(self, *names: str) -> Callable[[str], str]:
        def certificate(host_key: str) -> str:
            key = ca.parse_public_key(host_key)
            now = int(time.time())
            return self.issue(
                ca.host_template(serial=2, server=names[0], names=names, key=key, now=now, ttl=3600), HOST
            )

        return certificate


def new_authorities(algorithm: str) -> Authorities:
    user, host = generate_ca_key(algorithm)[0], generate_ca_key(algorithm)[0]
    return Authorities(ca.signer_from(user, CertificateKind.USER), ca.signer_from(host, CertificateKind.HOST))


@pytest.fixture(scope="module", params=CA_TYPES)
def authorities(request: pytest.FixtureRequest) -> Authorities:
    return new_authorities(request.param)


@pytest.fixture(scope="module")
def db_1(authorities: Authorities, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    directory = tmp_path_factory.mktemp("db-1")
    with Sshd(directory, "db-1", authorities.user_line, certify_host=authorities.certify("db-1", "127.0.0.1")) as it:
        yield it


@pytest.fixture(scope="module")
def db_2(authorities: Authorities, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    directory = tmp_path_factory.mktemp("db-2")
    with Sshd(directory, "db-2", authorities.user_line, certify_host=authorities.certify("db-2", "127.0.0.1")) as it:
        yield it


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Alice's private key files, one of each type."""
    directory = tmp_path_factory.mktemp("keys")
    for name, (kind, bits) in KEY_TYPES.items():
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", directory / name], check=True)
    return {name: directory / name for name in KEY_TYPES}


@pytest.fixture
def key(keys: dict[str, Path]) -> Path:
    return keys["ssh-ed25519"]


def public(key: Path) -> PublicKey:
    return ca.parse_public_key(key.with_name(f"{key.name}.pub").read_text())


def refused(ran: subprocess.CompletedProcess[str]) -> bool:
    """Turned away at the door by the server, and not for some other trouble."""
    return ran.returncode == 255 and "Permission denied (publickey)" in ran.stderr


def test_without_a_certificate_nobody_comes_in(db_1: Sshd, authorities: Authorities, key: Path) -> None:
    assert refused(ssh(db_1, key=key, known_hosts=authorities.known_hosts))


def test_a_certificate_for_db_1_opens_no_other_server(db_2: Sshd, authorities: Authorities, key: Path) -> None:
    certificate = authorities.access(public(key), server="db-1")
    assert refused(ssh(db_2, key=key, certificate=certificate, known_hosts=authorities.known_hosts))
    assert "name is not a listed principal" in db_2.log() or "does not contain an authorized principal" in db_2.log()


def test_a_certificate_for_another_login_is_refused(db_1: Sshd, authorities: Authorities, key: Path) -> None:
    certificate = authorities.access(public(key), login="postgres")
    assert refused(ssh(db_1, key=key, certificate=certificate, known_hosts=authorities.known_hosts))


def test_an_expired_certificate_is_refused(db_1: Sshd, authorities: Authorities, key: Path) -> None:
    """C06."""
    certificate = authorities.access(public(key), age=90, ttl=60)
    assert refused(ssh(db_1, key=key, certificate=certificate, known_hosts=authorities.known_hosts))
    assert "Certificate invalid: expired" in db_1.log()


def test_an_identity_certificate_opens_no_server(db_1: Sshd, authorities: Authorities, key: Path) -> None:
    """Not even when the subject is called as the account is."""
    name = "alice" if ME == "root" else ME
    template = ca.identity_template(serial=3, subject_name=name, key=public(key), now=int(time.time()), ttl=60)
    certificate = authorities.issue(template, IDENTITY)
    assert refused(ssh(db_1, key=key, certificate=certificate, known_hosts=authorities.known_hosts))


def test_a_certificate_is_no_good_with_another_key(db_1: Sshd, authorities: Authorities, keys: dict[str, Path]) -> None:
    certificate = authorities.access(public(keys["ssh-ed25519"]))
    other = keys["ecdsa-sha2-nistp256"]
    assert refused(ssh(db_1, key=other, certificate=certificate, known_hosts=authorities.known_hosts))


def test_a_certificate_of_another_ca_is_refused(db_1: Sshd, authorities: Authorities, key: Path) -> None:
    """C14."""
    stranger = new_authorities("ssh-ed25519")
    certificate = stranger.access(public(key))
    assert refused(ssh(db_1, key=key, certificate=certificate, known_hosts=authorities.known_hosts))


def test_a_host_certificate_logs_nobody_in(db_1: Sshd, authorities: Authorities, key: Path) -> None:
    """C13: neither from the host CA, nor on a server that was told to trust the host CA for users."""
    certificate = authorities.certify("db-1")(public(key).line)
    assert refused(ssh(db_1, key=key, certificate=certificate, known_hosts=authorities.known_hosts))


def test_a_server_that_trusts_the_host_ca_for_users_still_lets_nobody_in(
    authorities: Authorities, key: Path, tmp_path: Path
) -> None:
    """C13."""
    host_line = public_key_of(authorities.host).line
    with Sshd(tmp_path, "db-1", host_line, certify_host=authorities.certify("db-1", "127.0.0.1")) as confused:
        certificate = authorities.certify("db-1")(public(key).line)
        assert refused(ssh(confused, key=key, certificate=certificate, known_hosts=authorities.known_hosts))


def test_a_source_address_that_is_not_ours_is_refused(db_1: Sshd, authorities: Authorities, key: Path) -> None:
    certificate = authorities.access(public(key), source_address="192.0.2.1")
    assert refused(ssh(db_1, key=key, certificate=certificate, known_hosts=authorities.known_hosts))


def test_revoked_serials_are_refused_and_others_are_not(authorities: Authorities, key: Path, tmp_path: Path) -> None:
    """C17."""
    revoked = Revoked(public_key_of(authorities.user), serials=[41])
    krl = ca.krl(version=1, generated_at=int(time.time()), certificates=[revoked])
    certify = authorities.certify("db-1", "127.0.0.1")
    with Sshd(tmp_path, "db-1", authorities.user_line, certify_host=certify, krl=krl) as server:
        for serial, door in ((41, refused), (42, lambda ran: ran.returncode == 0)):
            certificate = authorities.access(public(key), serial=serial)
            assert door(ssh(server, key=key, certificate=certificate, known_hosts=authorities.known_hosts))


def test_the_client_refuses_a_host_certificate_for_another_name(
    authorities: Authorities, key: Path, tmp_path: Path
) -> None:
    """C20."""
    with Sshd(tmp_path, "db-1", authorities.user_line, certify_host=authorities.certify("db-9")) as server:
        certificate = authorities.access(public(key))
        ran = ssh(server, key=key, certificate=certificate, known_hosts=authorities.known_hosts)
        assert ran.returncode == 255
        assert "name is not a listed principal" in ran.stderr
        named = ssh(
            server,
            key=key,
            certificate=certificate,
            known_hosts=authorities.known_hosts,
            options=["HostKeyAlias=db-9"],
        )
        assert named.returncode == 0, named.stderr


def test_the_client_refuses_a_user_certificate_and_another_ca(
    authorities: Authorities, key: Path, tmp_path: Path
) -> None:
    """C13."""

    def user_certificate(host_key: str) -> str:
        return authorities.access(ca.parse_public_key(host_key))

    user_ca_for_hosts = f"@cert-authority * {authorities.user_line}"
    with Sshd(tmp_path, "db-1", authorities.user_line, certify_host=user_certificate) as server:
        ran = ssh(server, key=key, certificate=authorities.access(public(key)), known_hosts=user_ca_for_hosts)
        assert ran.returncode == 255
        assert "verification failed" in ran.stderr


@pytest.mark.parametrize("name", KEY_TYPES)
def test_a_certificate_for_db_1_opens_db_1(
    name: str, db_1: Sshd, authorities: Authorities, keys: dict[str, Path]
) -> None:
    """With every type of key; the host is known by its certificate alone."""
    certificate = authorities.access(public(keys[name]), source_address="127.0.0.1", serial=77)
    ran = ssh(db_1, "id", "-un", key=keys[name], certificate=certificate, known_hosts=authorities.known_hosts)
    assert (ran.returncode, ran.stdout) == (0, f"{ME}\n"), ran.stderr + db_1.log()
    assert f'ID "postern:access:alice:{ME}@db-1:77" (serial 77)'.lower() in db_1.log().lower()


def test_a_terminal_is_given_only_when_granted(db_1: Sshd, authorities: Authorities, key: Path) -> None:
    """C05: what the certificate leaves out, sshd refuses."""
    for granted in (False, True):
        certificate = authorities.access(public(key), pty=granted, source_address="127.0.0.0/8,::1/128")
        ran = ssh(
            db_1,
            "tty",
            key=key,
            certificate=certificate,
            known_hosts=authorities.known_hosts,
            options=["RequestTTY=force"],
        )
        assert ("PTY allocation request failed" in ran.stderr) is not granted
        assert ran.stdout.startswith("/dev/") is granted
