"""OpenSSH's key revocation list (PROTOCOL.krl): what servers must no longer take, as one file."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from broker.ca.public_key import PublicKey
from broker.ca.wire import string, uint32, uint64

MAGIC = b"SSHKRL\n\0"
FORMAT_VERSION = 1
SECTION_CERTIFICATES, SECTION_FINGERPRINT_SHA256 = 1, 5
SERIAL_LIST, KEY_ID = 0x20, 0x23


@dataclass(frozen=True, slots=True)
class Revoked:
    """What is revoked of the certificates of one authority."""

    authority: PublicKey
    serials: Collection[int] = ()
    key_ids: Collection[str] = ()


def krl(
    *,
    version: int,
    generated_at: int,
    certificates: Collection[Revoked] = (),
    keys: Collection[PublicKey] = (),
    comment: str = "postern",
) -> bytes:
    """The list as bytes for `RevokedKeys`. `version` grows with each one; `generated_at` is Unix seconds.

    `keys` are refused whatever certificate they come with. The same content gives the same bytes.
    """
    header = (
        MAGIC
        + uint32(FORMAT_VERSION)
        + uint64(version)
        + uint64(generated_at)
        + uint64(0)  # flags: none are defined
        + string(b"")
        + string(comment)
    )
    sections = [_section(SECTION_CERTIFICATES, _certificates(revoked)) for revoked in certificates]
    if keys:
        hashes = sorted({hashlib.sha256(key.blob).digest() for key in keys})
        sections.append(_section(SECTION_FINGERPRINT_SHA256, b"".join(map(string, hashes))))
    return header + b"".join(sections)


def _certificates(revoked: Revoked) -> bytes:
    body = string(revoked.authority.blob) + string(b"")
    if revoked.serials:
        body += _section(SERIAL_LIST, b"".join(uint64(serial) for serial in sorted(set(revoked.serials))))
    if revoked.key_ids:
        body += _section(KEY_ID, b"".join(string(key_id) for key_id in sorted(set(revoked.key_ids))))
    return body


def _section(number: int, body: bytes) -> bytes:
    return bytes([number]) + string(body)
