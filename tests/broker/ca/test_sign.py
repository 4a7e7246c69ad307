"""Signing, judged by ssh-keygen and by two other readers of the format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh
import pytest
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import ca
from broker.ca import ACCESS, HOST, IDENTITY, CertificateKind
from broker.errors import Invalid
from tests.broker.ca.cast import ALGORITHMS, CA_ALGORITHMS, NONCE, NOW, access, key, shown, signer


def test_an_unchecked_template_is_not_signed() -> None:
    with pytest.raises(TypeError, match="what lint"):
        ca.sign(access(), signer(), NONCE)  # type: ignore[arg-type]


def test_each_ca_signs_its_own_kind_only() -> None:
    """C13."""
    host = ca.host_template(serial=1, server="db-1", names=["db-1"], key=key(), now=NOW)
    with pytest.raises(Invalid, match="the user CA does not sign host certificates"):
        ca.sign(ca.lint(host, HOST, NOW), signer(CertificateKind.USER), NONCE)
    with pytest.raises(Invalid, match="the host CA does not sign user certificates"):
        ca.sign(ca.lint(access(), ACCESS, NOW), signer(CertificateKind.HOST), NONCE)


def test_a_ca_does_not_certify_itself() -> None:
    """C14."""
    own = ca.PublicKey("ssh-ed25519", signer().public_blob)
    with pytest.raises(Invalid, match="certificate authority"):
        ca.sign(ca.lint(access(key=own), ACCESS, NOW), signer(), NONCE)


@pytest.mark.parametrize("nonce", [b"", bytes(31), bytes(33)])
def test_a_nonce_of_another_length_is_refused(nonce: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        ca.sign(ca.lint(access(), ACCESS, NOW), signer(), nonce)


SHORT_NAMES = {
    "ssh-ed25519": "ED25519-CERT",
    "ssh-rsa": "RSA-CERT",
    "sk-ssh-ed25519@openssh.com": "ED25519-SK-CERT",
    "sk-ecdsa-sha2-nistp256@openssh.com": "ECDSA-SK-CERT",
}
SIGNED_WITH = {
    "ssh-ed25519": "ED25519 {} (using ssh-ed25519)",
    "ecdsa-sha2-nistp256": "ECDSA {} (using ecdsa-sha2-nistp256)",
    "ssh-rsa": "RSA {} (using rsa-sha2-512)",
}


@pytest.mark.parametrize("authority", CA_ALGORITHMS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ssh_keygen_shows_exactly_the_template(algorithm: str, authority: str, tmp_path: Path) -> None:
    """C05 and C10: byte for byte, for each type of key and of CA; FIDO keys keep their type."""
    template = access(
        key=key(algorithm),
        pty=True,
        forward_ports=True,
        forward_agent=True,
        forward_x11=True,
        source_address="10.0.0.1",
    )
    ca_key = signer(CertificateKind.USER, authority)
    said = shown(ca.sign(ca.lint(template, ACCESS, NOW), ca_key, NONCE), tmp_path)
    ca_fingerprint = ca.PublicKey(authority, ca_key.public_blob).fingerprint
    assert said == (
        f"        Type: {algorithm.removesuffix('@openssh.com')}-cert-v01@openssh.com user certificate\n"
        f"        Public key: {SHORT_NAMES.get(algorithm, 'ECDSA-CERT')} {key(algorithm).fingerprint}\n"
        f"        Signing CA: {SIGNED_WITH[authority].format(ca_fingerprint)}\n"
        '        Key ID: "postern:access:alice:root@db-1:7"\n'
        "        Serial: 7\n"
        "        Valid: from 2027-01-15T07:59:30 to 2027-01-15T08:02:00\n"
        "        Principals: \n"
        "                root@db-1\n"
        "        Critical Options: \n"
        "                source-address 10.0.0.1\n"
        "        Extensions: \n"
        "                permit-X11-forwarding\n"
        "                permit-agent-forwarding\n"
        "                permit-port-forwarding\n"
        "                permit-pty\n"
    )


def test_a_bare_certificate_permits_nothing(tmp_path: Path) -> None:
    """C05."""
    said = shown(ca.sign(ca.lint(access(), ACCESS, NOW), signer(), NONCE), tmp_path)
    assert "        Critical Options: (none)\n        Extensions: (none)\n" in said


def test_an_identity_certificate_is_good_for_the_name_alone(tmp_path: Path) -> None:
    template = ca.identity_template(serial=8, subject_name="alice", key=key(), now=NOW, ttl=3600)
    said = shown(ca.sign(ca.lint(template, IDENTITY, NOW), signer(), NONCE), tmp_path)
    assert "user certificate\n" in said
    assert "        Principals: \n                alice\n        Critical Options: (none)\n" in said
    assert "Valid: from 2027-01-15T07:59:30 to 2027-01-15T08:59:30\n" in said


def test_a_host_certificate_names_the_host_and_nothing_more(tmp_path: Path) -> None:
    template = ca.host_template(serial=9, server="db-1", names=["db-1", "10.0.0.5", "db-1"], key=key(), now=NOW)
    said = shown(ca.sign(ca.lint(template, HOST, NOW), signer(CertificateKind.HOST), NONCE), tmp_path)
    assert "host certificate\n" in said
    assert said.endswith(
        "        Principals: \n                db-1\n                10.0.0.5\n"
        "        Critical Options: (none)\n        Extensions: (none)\n"
    )


def test_the_same_template_and_nonce_give_the_same_certificate() -> None:
    """Pure: no clock, no randomness."""
    for authority in CA_ALGORITHMS:
        checked, ca_key = ca.lint(access(), ACCESS, NOW), signer(CertificateKind.USER, authority)
        assert ca.sign(checked, ca_key, NONCE) == ca.sign(checked, ca_key, NONCE)
        assert ca.sign(checked, ca_key, NONCE) != ca.sign(checked, ca_key, bytes(32))


GRANTS = st.fixed_dictionaries(
    {name: st.booleans() for name in ("pty", "forward_ports", "forward_agent", "forward_x11")}
    | {
        "serial": st.integers(1, 2**63 - 1),
        "login": st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}", fullmatch=True),
        "server": st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True),
        "source_address": st.just("") | st.ip_addresses().map(str),
        "ttl": st.integers(1, 10**6),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    GRANTS,
    st.sampled_from([name for name in ALGORITHMS if not name.startswith("sk-")]),
    st.binary(min_size=32, max_size=32),
)
def test_other_readers_find_what_was_written(grants: dict[str, Any], algorithm: str, nonce: bytes) -> None:
    """`cryptography` and asyncssh are readers of the format that share nothing with our writer."""
    template = access(key=key(algorithm), **grants)
    line = ca.sign(ca.lint(template, ACCESS, NOW), signer(), nonce)
    read = load_ssh_public_identity(line.encode())
    assert isinstance(read, SSHCertificate)
    read.verify_cert_signature()
    assert read.nonce == nonce
    assert read.serial == template.serial
    assert read.valid_principals == [template.principals[0].encode()]
    assert (read.valid_after, read.valid_before) == (template.valid_after, template.valid_before)
    assert read.key_id == template.key_id.encode()
    assert read.extensions == {name.encode(): b"" for name, _ in template.extensions}
    options = asyncssh.import_certificate(line).options  # type: ignore[attr-defined]
    assert bool(options.get("source-address")) is bool(grants["source_address"])
    assert bool(options.get("permit-pty")) is grants["pty"]
