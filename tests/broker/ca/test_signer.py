"""Signers: which CA keys we hold, and that they do not show themselves."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from broker.ca import CertificateKind, signer_from
from broker.ca.signer import public_key_of
from broker.ca.wire import Reader
from broker.errors import Invalid
from broker.keystore import generate_ca_key
from tests.broker.ca.cast import new_private, private_text, signer


@pytest.mark.parametrize(
    "text", ["", "nonsense", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"]
)
def test_a_damaged_ca_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(Invalid, match="the CA key cannot be read") as refusal:
        signer_from(text, CertificateKind.USER)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


def test_a_weak_or_unwanted_ca_key_is_refused() -> None:
    for private in (rsa.generate_private_key(65537, 2048), new_private("ecdsa-sha2-nistp384")):
        with pytest.raises(Invalid, match="of a kind we do not sign with"):
            signer_from(private_text(private), CertificateKind.USER)


def test_an_rsa_ca_signs_with_sha_512_and_never_sha_1() -> None:
    """C10."""
    assert Reader(signer(CertificateKind.USER, "ssh-rsa").sign(b"data")).string() == b"rsa-sha2-512"


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
def test_a_generated_ca_key_signs_and_shows_its_fingerprint_only(algorithm: str) -> None:
    private, public = generate_ca_key(algorithm)
    made = signer_from(private, CertificateKind.HOST)
    assert public_key_of(made).line == public
    assert repr(made).endswith(f"host {public_key_of(made).fingerprint}>")


def test_no_other_ca_key_is_generated() -> None:
    with pytest.raises(ValueError, match="no CA keys of type"):
        generate_ca_key("ssh-rsa")
