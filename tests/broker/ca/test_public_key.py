"""Public keys: what we take from strangers."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import ca
from broker.ca.public_key import fingerprint, from_blob
from broker.ca.wire import Malformed, mpint, string
from broker.errors import Invalid
from tests.broker.ca.cast import ALGORITHMS, NONCE, NOW, access, key, new_private, private_text, public_line, signer


def line(name: str, *fields: bytes) -> str:
    return f"{name} {base64.b64encode(string(name) + b''.join(fields)).decode()}"


GOOD = key().line
POINT = key("ecdsa-sha2-nistp256").blob[-65:]
N3072 = (1 << 3071) + 1
REFUSED = {
    "nothing": "",
    "one word": "ssh-ed25519",
    "no base64": "ssh-ed25519 !!!!",
    "two lines": f"{GOOD}\n{GOOD}",
    "a line end inside": GOOD.replace(" ", "\r", 1),
    "a NUL in the comment": f"{GOOD} alice\0",
    "an escape in the comment": f"{GOOD} \x1b[2J",
    "options in front": f'command="id" {GOOD}',
    "a CA marker": f"@cert-authority * {GOOD}",
    "DSA": "ssh-dss AAAAB3NzaC1kc3MAAAAA",
    "a type nobody knows": line("ssh-xmss@openssh.com", string(b"x")),
    "a label that is not the key's": GOOD.replace("ssh-ed25519", "ssh-rsa", 1),
    "trailing bytes": line("ssh-ed25519", string(bytes(32)), b"x"),
    "31 bytes": line("ssh-ed25519", string(bytes(31))),
    "base64 with loose bits": GOOD[:-1] + chr(ord(GOOD[-1]) + 1) + " alice" if GOOD.endswith("=") else GOOD + "=",
    "another curve inside": line("ecdsa-sha2-nistp256", string("nistp384"), string(POINT)),
    "a point off the curve": line("ecdsa-sha2-nistp256", string("nistp256"), string(b"\x04" + bytes(63) + b"\1")),
    "the point at infinity": line("ecdsa-sha2-nistp256", string("nistp256"), string(b"\0")),
    "a compressed point": line("ecdsa-sha2-nistp256", string("nistp256"), string(b"\2" + POINT[1:33])),
    "RSA of 3071 bits": line("ssh-rsa", mpint(65537), mpint((1 << 3070) + 1)),
    "RSA of 8193 bits": line("ssh-rsa", mpint(65537), mpint((1 << 8192) + 1)),
    "RSA with exponent 1": line("ssh-rsa", mpint(1), mpint(N3072)),
    "RSA with exponent 3": line("ssh-rsa", mpint(3), mpint(N3072)),
    "RSA with a huge exponent": line("ssh-rsa", mpint(2**33 + 1), mpint(N3072)),
    "RSA with an even modulus": line("ssh-rsa", mpint(65537), mpint(1 << 3071)),
    "RSA padded": line("ssh-rsa", mpint(65537), string(b"\0\0" + N3072.to_bytes(384, "big"))),
    "a negative RSA number": line("ssh-rsa", mpint(65537), string(N3072.to_bytes(384, "big"))),
    "FIDO without an application": line("sk-ssh-ed25519@openssh.com", string(bytes(32))),
    "FIDO for a web site": line("sk-ssh-ed25519@openssh.com", string(bytes(32)), string("https://bank")),
    "too long": GOOD + " " + "a" * 20_000,
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_a_bad_line_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="the public key is not usable"):
        ca.parse_public_key(text)


def test_rsa_of_2048_bits_is_refused_with_the_number() -> None:
    with pytest.raises(Invalid, match="3072 to 8192 bits, this one has 2048"):
        ca.parse_public_key(public_line(rsa.generate_private_key(65537, 2048)))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_certificate_is_no_key(algorithm: str) -> None:
    """C14: no certificate is certified again."""
    template = access(key=key(algorithm))
    certificate = ca.sign(ca.lint(template, ca.ACCESS, NOW), signer(), NONCE)
    with pytest.raises(Invalid, match="it is a certificate, not a key"):
        ca.parse_public_key(certificate)
    with pytest.raises(Malformed):
        from_blob(base64.b64decode(certificate.split()[1]))


def test_a_private_key_sent_by_mistake_is_refused_and_not_repeated() -> None:
    text = private_text(new_private("ssh-ed25519"))
    with pytest.raises(Invalid, match="private key") as refusal:
        ca.parse_public_key(text)
    assert text.splitlines()[2] not in str(refusal.value)


def test_nobody_brings_the_key_of_a_ca_as_theirs() -> None:
    """C14."""
    with pytest.raises(Invalid, match="certificate authority"):
        ca.parse_public_key(GOOD, authorities=[key("ssh-rsa").blob, key().blob])
    assert ca.parse_public_key(GOOD, authorities=[key("ssh-rsa").blob])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_key_is_taken_and_its_comment_dropped(algorithm: str) -> None:
    """X09: a comment is the sender's text and goes nowhere."""
    taken = ca.parse_public_key(f"{key(algorithm).line} <script>alert(1)</script> ñ\r\n")
    assert taken == key(algorithm)
    assert taken.is_hardware is algorithm.startswith("sk-")
    assert "script" not in taken.line


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_fingerprint_is_openssh_s(algorithm: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    file.write_text(key(algorithm).line + "\n")
    said = subprocess.run(["ssh-keygen", "-l", "-f", file], capture_output=True, text=True, check=True).stdout
    assert key(algorithm).fingerprint in said


@given(st.text(max_size=200) | st.sampled_from(sorted(REFUSED.values())))
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    try:
        ca.parse_public_key(text)
    except Invalid:
        return


@settings(max_examples=400)
@given(st.sampled_from(ALGORITHMS), st.data())
def test_a_damaged_key_is_refused_or_is_another_whole_key(algorithm: str, data: st.DataObject) -> None:
    """Cut or lengthened it is never taken; with a byte changed, only if it is again exactly a key."""
    good = key(algorithm).blob
    at = data.draw(st.integers(0, len(good) - 1))
    with pytest.raises(Malformed):
        from_blob(good[:at])
    with pytest.raises(Malformed):
        from_blob(good + data.draw(st.binary(min_size=1, max_size=8)))
    changed = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    try:
        taken = from_blob(changed)
    except Malformed:
        return
    assert taken.algorithm == algorithm
    assert ca.parse_public_key(taken.line).fingerprint == fingerprint(changed)
