"""The key ring: the secrets that seal what the database holds, in one file outside the database.

The file is made once, by `create`, when nothing is sealed yet; a ring that is missing later is an error and never
replaced in silence. It is readable by its owner only and reached through no symbolic link.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from broker.errors import Conflict, PosternError

RING_FILE = "keyring.json"
KEY_BYTES = 32
NONCE_BYTES = 12
RESTORE = "restore the keys directory from a backup; without it sealed secrets cannot be read"


class CannotOpen(PosternError):
    """A sealed value was changed, moved from its place, or sealed under a key that is gone."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Sealing keys by id, newest last: the newest seals, all open. `root` never changes; HMAC keys come from it."""

    keys: dict[str, bytes] = field(repr=False)
    root: bytes = field(repr=False)

    @property
    def newest(self) -> str:
        return next(reversed(self.keys))

    def seal(self, plaintext: bytes, aad: str) -> str:
        """`v1:KEY:BASE64`, AES-256-GCM. `aad` names the place it belongs to and must be given again to open it."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        kid = self.newest
        sealed = nonce + AESGCM(self.keys[kid]).encrypt(nonce, plaintext, aad.encode())
        return f"v1:{kid}:{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, aad: str) -> bytes:
        """The plaintext, or `CannotOpen`."""
        version, kid, data = _parts(sealed)
        if version != "v1" or kid not in self.keys:
            raise CannotOpen("a secret was sealed under a key that is not in the key ring", RESTORE)
        try:
            raw = base64.b64decode(data, validate=True)
            return AESGCM(self.keys[kid]).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], aad.encode())
        except (InvalidTag, binascii.Error, ValueError):
            raise CannotOpen("a sealed secret was changed or belongs to another place", RESTORE) from None

    def reseal(self, sealed: str, aad: str) -> str:
        """The same secret under the newest key; the very same text when it is already."""
        return sealed if _parts(sealed)[1] == self.newest else self.seal(self.open(sealed, aad), aad)

    def derive(self, label: str) -> bytes:
        """32 bytes for one purpose, the same for as long as the ring lives, through rotations too (HKDF, RFC 5869)."""
        hkdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"postern:{label}".encode())
        return hkdf.derive(self.root)


def _parts(sealed: str) -> tuple[str, str, str]:
    parts = sealed.split(":")
    if len(parts) != 3:
        raise CannotOpen("a sealed secret is not in its usual form", RESTORE)
    return parts[0], parts[1], parts[2]


# The file


def create(directory: Path) -> KeyRing:
    """Make a new ring; `Conflict` if there is one. Call it only while nothing is sealed."""
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700, parents=True)
    made = KeyRing(keys={_new_id(): secrets.token_bytes(KEY_BYTES)}, root=secrets.token_bytes(KEY_BYTES))
    with _open_directory(directory) as at:
        try:
            _write(at, made, replace=False)
        except FileExistsError:
            raise Conflict(f"there is a key ring already in {directory}") from None
    return made


def exists(directory: Path) -> bool:
    """Whether there is a ring, good or bad."""
    return os.path.lexists(directory / RING_FILE)


def load(directory: Path) -> KeyRing:
    """Read the ring; raises `PosternError` if it is missing, damaged, or open to others. Never makes one."""
    with _open_directory(directory) as at:
        return _read(at, directory)


def rotate(directory: Path) -> KeyRing:
    """Add a key, which seals from now on. Old ones stay until everything is resealed."""
    with _open_directory(directory) as at:
        fcntl.flock(at, fcntl.LOCK_EX)
        old = _read(at, directory)
        new = KeyRing(keys={**old.keys, _new_id(): secrets.token_bytes(KEY_BYTES)}, root=old.root)
        _write(at, new, replace=True)
    return new


def _new_id() -> str:
    return secrets.token_hex(4)


@contextlib.contextmanager
def _open_directory(directory: Path) -> Iterator[int]:
    """A handle on the keys directory, so that nobody can swap it between the check and the use."""
    try:
        at = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise PosternError(f"the keys directory {directory} is missing", RESTORE) from None
    except OSError as error:
        raise PosternError(
            f"the keys directory {directory} cannot be used: {error.strerror}",
            "it must be a directory of our own, not a link",
        ) from None
    try:
        _check_private(os.fstat(at), directory, "0700")
        yield at
    finally:
        os.close(at)


def _check_private(status: os.stat_result, path: Path, wanted: str) -> None:
    if status.st_uid != os.geteuid():
        raise PosternError(f"{path} belongs to another user", f"chown it to the user with id {os.geteuid()}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise PosternError(f"{path} is open to other users", f"chmod {wanted} {path}")


def _read(at: int, directory: Path) -> KeyRing:
    path = directory / RING_FILE
    try:
        handle = os.open(RING_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    except FileNotFoundError:
        raise PosternError(f"the key ring {path} is missing", RESTORE) from None
    except OSError as error:
        raise PosternError(f"the key ring {path} cannot be read: {error.strerror}", RESTORE) from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise PosternError(f"the key ring {path} is not a regular file", RESTORE)
        _check_private(status, path, "0600")
        return _from_json(file.read(), path)


def _from_json(data: bytes, path: Path) -> KeyRing:
    try:
        document: Any = json.loads(data)
        if document["version"] != 1:
            raise ValueError
        keys = {str(key["id"]): _secret(key["secret"]) for key in document["keys"]}
        root = _secret(document["root"])
        if not keys or len(keys) != len(document["keys"]):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        # Nothing of the content goes into the message: it is made of secrets.
        raise PosternError(f"the key ring {path} is empty or damaged", RESTORE) from None
    return KeyRing(keys=keys, root=root)


def _secret(text: str) -> bytes:
    value = base64.b64decode(text, validate=True)
    if len(value) != KEY_BYTES:
        raise ValueError
    return value


def _to_json(ring: KeyRing) -> bytes:
    def text(secret: bytes) -> str:
        return base64.b64encode(secret).decode()

    keys = [{"id": kid, "secret": text(key)} for kid, key in ring.keys.items()]
    return json.dumps({"version": 1, "root": text(ring.root), "keys": keys}, indent=1).encode()


def _write(at: int, ring: KeyRing, *, replace: bool) -> None:
    """Write beside, then move into place: whoever looks sees a whole ring or none."""
    beside = f".{RING_FILE}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(beside, flags, 0o600, dir_fd=at)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_to_json(ring))
            file.flush()
            os.fsync(handle)
        if replace:
            os.rename(beside, RING_FILE, src_dir_fd=at, dst_dir_fd=at)
        else:
            os.link(beside, RING_FILE, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=at)
    os.fsync(at)


# The ring of this process

_cached: tuple[tuple[str, int, int], KeyRing] | None = None


def ring() -> KeyRing:
    """The ring of the configured keys directory, read once and again when the file changes."""
    from django.conf import settings

    global _cached
    directory = Path(settings.POSTERN.keys_dir)
    try:
        status = os.lstat(directory / RING_FILE)
    except OSError:
        return load(directory)  # which says what is wrong
    state = (str(directory), status.st_ino, status.st_mtime_ns)
    if _cached is None or _cached[0] != state:
        _cached = (state, load(directory))
    return _cached[1]


# CA keys


def generate_ca_key(algorithm: str = "ssh-ed25519") -> tuple[str, str]:
    """A new CA key: the private half (OpenSSH form, to be sealed) and the public line."""
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    match algorithm:
        case "ssh-ed25519":
            key = ed25519.Ed25519PrivateKey.generate()
        case "ecdsa-sha2-nistp256":
            key = ec.generate_private_key(ec.SECP256R1())
        case _:
            raise ValueError(f"no CA keys of type {algorithm!r}")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private.decode(), public.decode()
