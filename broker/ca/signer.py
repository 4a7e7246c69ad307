"""Signers: hold of a CA key. A Protocol, so that a file, a token or a KMS fits."""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from broker.ca.profile import CertificateKind
from broker.ca.public_key import RSA_BITS, PublicKey, fingerprint, from_blob
from broker.ca.wire import mpint, string
from broker.errors import Invalid


class Signer(Protocol):
    """A CA key that signs certificates of one kind: the host CA cannot sign for users, nor the other way."""

    @property
    def kind(self) -> CertificateKind: ...

    @property
    def public_blob(self) -> bytes:
        """The CA's public key in SSH wire form."""

    def sign(self, data: bytes) -> bytes:
        """The signature in SSH wire form: algorithm name and signature proper."""


def signer_from(private: str, kind: CertificateKind) -> Signer:
    """The signer for an unencrypted OpenSSH private key, as `broker.keystore.generate_ca_key` makes it."""
    try:
        key = load_ssh_private_key(private.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's text could quote the key.
        raise Invalid("the CA key cannot be read", "restore it from a backup or rotate the CA") from None
    match key:
        case ed25519.Ed25519PrivateKey():
            return Ed25519Signer(key, kind)
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return EcdsaP256Signer(key, kind)
        case rsa.RSAPrivateKey() if key.key_size in RSA_BITS:
            return RsaSigner(key, kind)
    raise Invalid("the CA key is of a kind we do not sign with", "use Ed25519, ECDSA P-256 or RSA-3072")


class _KeySigner:
    """What the signers share: which kind of certificate, the public half, and a repr that shows no more."""

    def __init__(self, kind: CertificateKind, public_blob: bytes) -> None:
        self.kind = kind
        self.public_blob = public_blob

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind} {fingerprint(self.public_blob)}>"


class Ed25519Signer(_KeySigner):
    """Signs with Ed25519 (RFC 8709)."""

    def __init__(self, key: ed25519.Ed25519PrivateKey, kind: CertificateKind) -> None:
        super().__init__(kind, string("ssh-ed25519") + string(key.public_key().public_bytes_raw()))
        self._key = key

    def sign(self, data: bytes) -> bytes:
        return string("ssh-ed25519") + string(self._key.sign(data))


class EcdsaP256Signer(_KeySigner):
    """Signs with ECDSA on P-256 (RFC 5656), the nonce derived from key and data (RFC 6979)."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, kind: CertificateKind) -> None:
        numbers = key.public_key().public_numbers()
        point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        super().__init__(kind, string("ecdsa-sha2-nistp256") + string("nistp256") + string(point))
        self._key = key

    def sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
        return string("ecdsa-sha2-nistp256") + string(mpint(r) + mpint(s))


class RsaSigner(_KeySigner):
    """Signs with RSA and SHA-512 (RFC 8332), never with SHA-1."""

    def __init__(self, key: rsa.RSAPrivateKey, kind: CertificateKind) -> None:
        numbers = key.public_key().public_numbers()
        super().__init__(kind, string("ssh-rsa") + mpint(numbers.e) + mpint(numbers.n))
        self._key = key

    def sign(self, data: bytes) -> bytes:
        return string("rsa-sha2-512") + string(self._key.sign(data, padding.PKCS1v15(), hashes.SHA512()))


def public_key_of(signer: Signer) -> PublicKey:
    """The CA's public key, as servers trust it."""
    return from_blob(signer.public_blob)
