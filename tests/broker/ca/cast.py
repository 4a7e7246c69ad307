"""Keys of every type we take, a CA of every type we sign with, and ssh-keygen to have the last word."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from broker import ca
from broker.ca import CertificateKind, CertificateTemplate, PublicKey, Signer
from broker.ca.wire import string

NOW = 1_800_000_000
NONCE = bytes(range(32))

ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
CA_ALGORITHMS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")
Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_private(algorithm: str) -> Private:
    match algorithm:
        case "ssh-ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "ssh-rsa":
            return rsa.generate_private_key(65537, 3072)
    curves = {"nistp256": ec.SECP256R1(), "nistp384": ec.SECP384R1(), "nistp521": ec.SECP521R1()}
    return ec.generate_private_key(curves[algorithm.removeprefix("ecdsa-sha2-")])


def public_line(private: Private) -> str:
    return private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def private_text(private: Private) -> str:
    return private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


@functools.cache
def key(algorithm: str = "ssh-ed25519") -> PublicKey:
    """One key of each type. The FIDO ones have no private half: no authenticator is needed to be certified."""
    if algorithm.startswith("sk-"):
        plain = algorithm.removeprefix("sk-").removesuffix("@openssh.com")
        fields = key(plain).blob[len(string(plain)) :]
        return PublicKey(algorithm, string(algorithm) + fields + string("ssh:"))
    return ca.parse_public_key(public_line(new_private(algorithm)))


@functools.cache
def signer(kind: CertificateKind = CertificateKind.USER, algorithm: str = "ssh-ed25519") -> Signer:
    return ca.signer_from(private_text(new_private(algorithm)), kind)


def access(**changes: object) -> CertificateTemplate:
    """Alice's good template for root@db-1, with changes."""
    given: dict[str, object] = {
        "serial": 7,
        "subject_name": "alice",
        "login": "root",
        "server": "db-1",
        "key": key(),
        "now": NOW,
        "ttl": 120,
    }
    return ca.access_template(**(given | changes))  # type: ignore[arg-type]


def shown(certificate: str, directory: Path) -> str:
    """What `ssh-keygen -L` says, in UTC, which also checks the signature."""
    file = directory / "shown-cert.pub"
    file.write_text(certificate + "\n")
    ran = subprocess.run(
        ["ssh-keygen", "-L", "-f", file],
        capture_output=True,
        text=True,
        env=os.environ | {"TZ": "UTC", "LC_ALL": "C"},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.removeprefix(f"{file}:\n")
