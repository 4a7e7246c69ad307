"""The revocation list, judged by `ssh-keygen -Q`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from broker import ca
from broker.ca import ACCESS, CertificateKind, PublicKey, Revoked
from tests.broker.ca.cast import NONCE, NOW, access, key, signer


def is_revoked(directory: Path, revoked: bytes, line: str) -> bool:
    (directory / "krl").write_bytes(revoked)
    (directory / "asked.pub").write_text(line + "\n")
    ran = subprocess.run(
        ["ssh-keygen", "-Q", "-f", directory / "krl", directory / "asked.pub"], capture_output=True, text=True
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == (1 if "REVOKED" in said else 0), said
    assert "REVOKED" in said or "): ok" in said or ": ok" in said, said
    return "REVOKED" in said


def certificate(serial: int, authority: str = "ssh-ed25519", **changes: object) -> str:
    checked = ca.lint(access(serial=serial, **changes), ACCESS, NOW)
    return ca.sign(checked, signer(CertificateKind.USER, authority), NONCE)


def authority(algorithm: str = "ssh-ed25519") -> PublicKey:
    return PublicKey(algorithm, signer(CertificateKind.USER, algorithm).public_blob)


@pytest.mark.parametrize("serial", [1, 2**32, 2**63 - 1])
def test_a_serial_is_revoked_and_its_neighbours_are_not(serial: int, tmp_path: Path) -> None:
    """C17."""
    revoked = ca.krl(version=1, generated_at=NOW, certificates=[Revoked(authority(), serials=[serial, 1000, 1000, 5])])
    assert is_revoked(tmp_path, revoked, certificate(serial))
    assert is_revoked(tmp_path, revoked, certificate(1000))
    assert not is_revoked(tmp_path, revoked, certificate(1001))
    assert not is_revoked(tmp_path, revoked, certificate(4))


def test_a_serial_is_revoked_for_its_own_ca_only(tmp_path: Path) -> None:
    """C19: while two CAs are trusted, their serials do not mix."""
    both = [Revoked(authority(), serials=[3]), Revoked(authority("ecdsa-sha2-nistp256"), serials=[4])]
    revoked = ca.krl(version=2, generated_at=NOW, certificates=both)
    assert is_revoked(tmp_path, revoked, certificate(3))
    assert not is_revoked(tmp_path, revoked, certificate(4))
    assert is_revoked(tmp_path, revoked, certificate(4, "ecdsa-sha2-nistp256"))


def test_a_key_id_is_revoked(tmp_path: Path) -> None:
    """C17."""
    ids = ["postern:access:alice:root@db-1:8", "postern:access:bob:root@db-1:9"]
    revoked = ca.krl(version=3, generated_at=NOW, certificates=[Revoked(authority(), key_ids=ids)])
    assert is_revoked(tmp_path, revoked, certificate(8))
    assert not is_revoked(tmp_path, revoked, certificate(9))


def test_a_key_is_revoked_with_every_certificate_on_it(tmp_path: Path) -> None:
    """C17."""
    revoked = ca.krl(version=4, generated_at=NOW, keys=[key("ssh-rsa"), key()])
    assert is_revoked(tmp_path, revoked, key().line)
    assert is_revoked(tmp_path, revoked, certificate(1))
    other = key("ecdsa-sha2-nistp521")
    assert not is_revoked(tmp_path, revoked, certificate(1, key=other))


def test_an_empty_list_revokes_nothing_and_is_a_list(tmp_path: Path) -> None:
    assert not is_revoked(tmp_path, ca.krl(version=5, generated_at=NOW), certificate(1))


def test_the_order_of_what_is_revoked_does_not_matter() -> None:
    one = ca.krl(version=6, generated_at=NOW, certificates=[Revoked(authority(), [1, 2], ["a", "b"])])
    assert one == ca.krl(version=6, generated_at=NOW, certificates=[Revoked(authority(), [2, 1, 2], ["b", "a"])])
