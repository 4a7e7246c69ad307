"""The key ring: what it refuses, what it keeps, and that it opens only what it sealed where it sealed it."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import keystore
from broker.errors import Conflict, PosternError
from broker.keystore import CannotOpen, KeyRing

AAD = "broker.certificateauthority.private_key:1"
RING = KeyRing(keys={"aaaaaaaa": bytes(32), "bbbbbbbb": bytes([1]) * 32}, root=bytes([2]) * 32)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def file(keys: Path) -> Path:
    keystore.create(keys)
    return keys / keystore.RING_FILE


def test_a_missing_ring_is_an_error_and_is_not_made(keys: Path) -> None:
    """O15."""
    with pytest.raises(PosternError, match="keys directory .* is missing"):
        keystore.load(keys)
    assert not keys.exists()
    keys.mkdir(mode=0o700)
    with pytest.raises(PosternError, match="key ring .* is missing") as refusal:
        keystore.load(keys)
    assert "backup" in refusal.value.hint
    assert list(keys.iterdir()) == []


SECRET = base64.b64encode(bytes(32)).decode()
DAMAGED = {
    "empty": "",
    "not JSON": "keys",
    "binary": "\0\0",
    "a list": "[]",
    "no keys": json.dumps({"version": 1, "root": SECRET, "keys": []}),
    "no root": json.dumps({"version": 1, "keys": [{"id": "a", "secret": SECRET}]}),
    "another version": json.dumps({"version": 2, "root": SECRET, "keys": [{"id": "a", "secret": SECRET}]}),
    "a short key": json.dumps({"version": 1, "root": SECRET, "keys": [{"id": "a", "secret": "AAAA"}]}),
    "one id twice": json.dumps({"version": 1, "root": SECRET, "keys": [{"id": "a", "secret": SECRET}] * 2}),
    "keys by name": json.dumps({"version": 1, "root": SECRET, "keys": {"a": SECRET}}),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_ring_is_an_error_that_repeats_none_of_it(content: str, file: Path) -> None:
    """O15."""
    file.write_text(content)
    with pytest.raises(PosternError, match="empty or damaged") as refusal:
        keystore.load(file.parent)
    assert SECRET not in repr(refusal.value) + str(refusal.value.__cause__)
    assert file.read_text() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_ring_open_to_others_is_refused(mode: int, file: Path) -> None:
    """C22."""
    file.chmod(mode)
    with pytest.raises(PosternError, match="open to other users"):
        keystore.load(file.parent)


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o711])
def test_a_directory_open_to_others_is_refused(mode: int, file: Path) -> None:
    """C22."""
    file.parent.chmod(mode)
    for use in (keystore.load, keystore.rotate):
        with pytest.raises(PosternError, match="open to other users"):
            use(file.parent)


def test_a_link_is_refused_in_place_of_ring_and_directory(file: Path, tmp_path: Path) -> None:
    """C22."""
    (tmp_path / "linked").symlink_to(file.parent)
    for use in (keystore.load, keystore.create, keystore.rotate):
        with pytest.raises(PosternError, match="cannot be used"):
            use(tmp_path / "linked")
    real = file.rename(tmp_path / "elsewhere")
    file.symlink_to(real)
    with pytest.raises(PosternError, match="cannot be read"):
        keystore.load(file.parent)
    with pytest.raises(Conflict):
        keystore.create(file.parent)


def test_a_dangling_link_does_not_lead_a_new_ring_away(keys: Path, tmp_path: Path) -> None:
    """C22."""
    keys.mkdir(mode=0o700)
    (keys / keystore.RING_FILE).symlink_to(tmp_path / "stolen")
    with pytest.raises(Conflict):
        keystore.create(keys)
    assert not (tmp_path / "stolen").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_ring_of_another_user_is_refused(file: Path) -> None:
    """C22."""
    os.chown(file, 65534, 65534)
    with pytest.raises(PosternError, match="belongs to another user"):
        keystore.load(file.parent)


def test_a_pipe_in_place_of_the_ring_does_not_hang(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(PosternError, match="not a regular file"):
        keystore.load(file.parent)


def test_a_ring_is_never_made_over_another(file: Path) -> None:
    """O15."""
    before = file.read_bytes()
    with pytest.raises(Conflict, match="there is a key ring already"):
        keystore.create(file.parent)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [keystore.RING_FILE]


def test_of_many_who_make_it_at_once_one_wins(keys: Path) -> None:
    def attempt(_: int) -> KeyRing | None:
        try:
            return keystore.create(keys)
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [ring for ring in pool.map(attempt, range(8)) if ring]
    assert made == [keystore.load(keys)]


def test_a_new_ring_is_private_whatever_the_umask(keys: Path) -> None:
    """C22: from the first moment, which a lax umask would show."""
    code = (
        "import os, sys, pathlib; os.umask(0)\n"
        "from broker import keystore\n"
        "real = os.open\n"
        "def watched(path, flags, mode=0o777, **rest):\n"
        "    handle = real(path, flags, mode, **rest)\n"
        "    if flags & os.O_CREAT: print(oct(os.fstat(handle).st_mode & 0o777), bool(flags & os.O_EXCL))\n"
        "    return handle\n"
        "os.open = watched\n"
        "keystore.create(pathlib.Path(sys.argv[1]))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, keys], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[0] == "0o600 True"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert stat.S_IMODE((keys / keystore.RING_FILE).stat().st_mode) == 0o600


@given(st.text(max_size=80))
def test_no_text_makes_opening_fail_in_another_way(text: str) -> None:
    for sealed in (text, f"v1:bbbbbbbb:{text}"):
        with pytest.raises(CannotOpen):
            RING.open(sealed, AAD)


@given(st.binary(max_size=99), st.data())
def test_a_sealed_value_that_was_touched_does_not_open(plaintext: bytes, data: st.DataObject) -> None:
    version, kid, body = RING.seal(plaintext, AAD).split(":")
    raw = bytearray(base64.b64decode(body))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CannotOpen):
        RING.open(f"{version}:{kid}:{base64.b64encode(raw).decode()}", AAD)


def test_a_sealed_value_does_not_open_elsewhere_under_another_key_or_version() -> None:
    sealed = RING.seal(b"secret", AAD)
    with pytest.raises(CannotOpen, match="belongs to another place"):
        RING.open(sealed, AAD.replace(":1", ":2"))
    with pytest.raises(CannotOpen):
        RING.open(sealed.replace("bbbbbbbb", "aaaaaaaa"), AAD)
    with pytest.raises(CannotOpen, match="not in the key ring"):
        RING.open(sealed.replace("bbbbbbbb", "cccccccc"), AAD)
    with pytest.raises(CannotOpen):
        RING.open(sealed.replace("v1", "v2"), AAD)


def test_a_ring_shows_no_secret() -> None:
    assert repr(RING) == "KeyRing()"


def test_what_is_sealed_opens_and_never_looks_the_same() -> None:
    one, two = RING.seal(b"secret", AAD), RING.seal(b"secret", AAD)
    assert one != two
    assert one.startswith("v1:bbbbbbbb:")
    assert RING.open(one, AAD) == RING.open(two, AAD) == b"secret"


def test_a_ring_comes_back_from_its_file(keys: Path) -> None:
    assert keystore.exists(keys) is False
    made = keystore.create(keys)
    assert keystore.exists(keys) is True
    assert keystore.load(keys) == made


def test_rotation_seals_anew_opens_the_old_and_keeps_what_is_derived(keys: Path) -> None:
    old = keystore.create(keys)
    sealed = old.seal(b"secret", AAD)
    new = keystore.rotate(keys)
    assert new == keystore.load(keys)
    assert new.newest != old.newest
    assert new.open(sealed, AAD) == b"secret"
    resealed = new.reseal(sealed, AAD)
    assert resealed.split(":")[1] == new.newest
    assert new.reseal(resealed, AAD) == resealed
    assert new.derive("jwks") == old.derive("jwks")
    with pytest.raises(CannotOpen):
        old.open(resealed, AAD)


def test_rotations_at_once_lose_no_key(keys: Path) -> None:
    keystore.create(keys)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: keystore.rotate(keys), range(8)))
    assert len(keystore.load(keys).keys) == 9


def test_each_purpose_has_its_own_derived_secret() -> None:
    assert len({RING.derive("a"), RING.derive("b"), RING.root, RING.keys["aaaaaaaa"]}) == 4
    assert len(RING.derive("a")) == 32
    other = KeyRing(keys=RING.keys, root=bytes(32))
    assert other.derive("a") != RING.derive("a")


def test_the_process_sees_a_rotation_and_a_loss(keys: Path, settings: object) -> None:
    """O15: a ring that vanishes is noticed, not remembered."""
    settings.POSTERN = SimpleNamespace(keys_dir=keys)  # type: ignore[attr-defined]
    with pytest.raises(PosternError, match="is missing"):
        keystore.ring()
    made = keystore.create(keys)
    assert keystore.ring() == made
    assert keystore.ring() is keystore.ring()
    rotated = keystore.rotate(keys)
    assert keystore.ring() == rotated
    (keys / keystore.RING_FILE).unlink()
    with pytest.raises(PosternError, match="is missing"):
        keystore.ring()
