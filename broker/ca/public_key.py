"""Public keys as people send them: one OpenSSH line, read strictly.

Takes Ed25519, ECDSA, RSA of 3072 bits or more, and FIDO (`sk-`) keys. Refuses DSA, certificates, private
keys, options in front, numbers not in their shortest form, points off the curve and trailing bytes. The
comment is dropped.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from broker.ca.wire import Malformed, Reader
from broker.errors import Invalid

MAX_LINE = 16 * 1024
RSA_BITS = range(3072, 8192 + 1)
HINT = 'send one line as in the file that ends in .pub, made for example with "ssh-keygen -t ed25519"'

CURVES: dict[str, ec.EllipticCurve] = {
    "nistp256": ec.SECP256R1(),
    "nistp384": ec.SECP384R1(),
    "nistp521": ec.SECP521R1(),
}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that passed the checks of `parse` or `from_blob`: its algorithm's name and its SSH wire form."""

    algorithm: str
    blob: bytes

    @property
    def line(self) -> str:
        """The OpenSSH public key line, without a comment."""
        return f"{self.algorithm} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.blob)

    @property
    def is_hardware(self) -> bool:
        """Whether the private half lives in a FIDO authenticator."""
        return self.algorithm.startswith("sk-")


def fingerprint(blob: bytes) -> str:
    """The way OpenSSH shows a key: `SHA256:` and unpadded base64."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def parse(line: str, authorities: Collection[bytes] = ()) -> PublicKey:
    """Read a public key line. `authorities` are the blobs of our own CA keys, which nobody may bring.

    Raises `Invalid` with what is wrong.
    """
    try:
        algorithm, blob = _split(line)
        key = from_blob(blob)
        if key.algorithm != algorithm:
            raise Malformed(f"it says {algorithm!r} in front and {key.algorithm!r} inside")
    except Malformed as problem:
        raise Invalid(f"the public key is not usable: {problem}", HINT) from None
    if key.blob in authorities:
        raise Invalid("the public key is that of a certificate authority", "send your own key")
    return key


def from_blob(blob: bytes) -> PublicKey:
    """Check a key in wire form; raises `Malformed`."""
    reader = Reader(blob)
    name = _ascii(reader.string())
    check = ALGORITHMS.get(name)
    if check is None:
        raise Malformed(_why_not(name))
    check(reader)
    reader.end()
    return PublicKey(name, blob)


def _split(line: str) -> tuple[str, bytes]:
    if "PRIVATE KEY" in line:
        raise Malformed("it is a private key; make a new pair, as this one has left your hands")
    text = line.removesuffix("\n").removesuffix("\r")
    if len(text) > MAX_LINE:
        raise Malformed("it is too long")
    if any((ord(character) < 0x20 and character != "\t") or ord(character) == 0x7F for character in text):
        raise Malformed("it is more than one line, or holds control characters")
    words = text.split(None, 2)
    if len(words) < 2:
        raise Malformed("it is not an OpenSSH public key line")
    if words[0] not in ALGORITHMS:
        raise Malformed(_why_not(words[0]))
    return words[0], _base64(words[1])


def _base64(text: str) -> bytes:
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("its second word is not base64") from None
    if base64.b64encode(blob).decode() != text:
        raise Malformed("its base64 is not in the usual form")
    return blob


def _why_not(name: str) -> str:
    if "-cert-v0" in name:
        return "it is a certificate, not a key"
    if name == "ssh-dss":
        return "DSA keys are not safe"
    return "it does not begin with a known key type"


def _ascii(data: bytes) -> str:
    if not data.isascii():
        raise Malformed("it does not name a known key type")
    return data.decode("ascii")


def _ed25519(reader: Reader) -> None:
    if len(reader.string()) != 32:
        raise Malformed("an Ed25519 key has 32 bytes")


def _ecdsa(curve: str) -> Callable[[Reader], None]:
    def check(reader: Reader) -> None:
        if reader.string() != curve.encode():
            raise Malformed("it names another curve inside")
        point = reader.string()
        if point[:1] != b"\x04":
            raise Malformed("its point is not in uncompressed form")
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(CURVES[curve], point)
        except ValueError:
            raise Malformed("its point is not on the curve") from None

    return check


def _rsa(reader: Reader) -> None:
    exponent, modulus = reader.mpint(), reader.mpint()
    if modulus.bit_length() not in RSA_BITS:
        raise Malformed(
            f"an RSA key must have {RSA_BITS[0]} to {RSA_BITS[-1]} bits, this one has {modulus.bit_length()}"
        )
    if not modulus % 2 or not exponent % 2 or not 65537 <= exponent < 2**32:
        raise Malformed("its RSA numbers are not safe")


def _sk(check: Callable[[Reader], None]) -> Callable[[Reader], None]:
    def check_with_application(reader: Reader) -> None:
        check(reader)
        application = _ascii(reader.string())
        if not application.startswith("ssh:") or not application.isprintable():
            raise Malformed("its FIDO application does not begin with ssh:")

    return check_with_application


ALGORITHMS: dict[str, Callable[[Reader], None]] = {
    "ssh-ed25519": _ed25519,
    "ecdsa-sha2-nistp256": _ecdsa("nistp256"),
    "ecdsa-sha2-nistp384": _ecdsa("nistp384"),
    "ecdsa-sha2-nistp521": _ecdsa("nistp521"),
    "ssh-rsa": _rsa,
    "sk-ssh-ed25519@openssh.com": _sk(_ed25519),
    "sk-ecdsa-sha2-nistp256@openssh.com": _sk(_ecdsa("nistp256")),
}
