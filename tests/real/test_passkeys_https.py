"""A passkey at an address as an organisation has one: https, a certificate by an authority of its own, a real name.

Browsers bend rules for `localhost`; here origin, RP id, cookies and TLS are those of an installation.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from playwright.sync_api import expect, sync_playwright

from tests.real.product import Product, free_port
from tests.real.test_console_pages import CHROMIUM, QUIET
from tests.real.test_passkeys_browser import (
    GIVES_UP,
    LAPTOP,
    Seat,
    World,
    come_in,
    give_password,
    impatient,
    no_suggestions,
)

pytestmark = pytest.mark.real

HOST = "access.example.test"
DAY = datetime.timedelta(days=1)


def certified(directory: Path) -> tuple[Path, Path, str]:
    """A certificate chain and a key for HOST by an authority made here, and the hash of its key that Chromium takes."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the authority of this test")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey, ca: bool) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + DAY)
        return made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)

    ca = builder(ca_name, ca_key.public_key(), True).sign(ca_key, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DNSName(f"*.{HOST}")])
    leaf = builder(name, key.public_key(), False).add_extension(names, critical=False).sign(ca_key, hashes.SHA256())
    chain, private = directory / "chain.pem", directory / "key.pem"
    pem = serialization.Encoding.PEM
    chain.write_bytes(leaf.public_bytes(pem) + ca.public_bytes(pem))
    private.touch(mode=0o600)
    pkcs8, clear = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(pem, pkcs8, clear))
    return chain, private, _spki(key.public_key())


def _spki(key: ec.EllipticCurvePublicKey) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("https")
    chain, key, spki = certified(directory)
    port = free_port()
    settings = {
        "POSTERN_URL": f"https://{HOST}:{port}",
        "POSTERN_LISTEN": f"127.0.0.1:{port}",
        "POSTERN_TLS_CERTIFICATE": str(chain),
        "POSTERN_TLS_KEY": str(key),
    }
    # only this very key is let pass: any other certificate, and any other name, is refused as usual
    args = [*QUIET, f"--host-resolver-rules=MAP {HOST} 127.0.0.1", f"--ignore-certificate-errors-spki-list={spki}"]
    with Product(directory / "data", port, settings) as product, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield World(product, chromium)
        chromium.close()


@pytest.fixture
def seat(world: World) -> Iterator[Seat]:
    world.complaints.clear()
    seat = world.seat()
    yield seat
    seat.page.context.close()
    assert world.complaints == []


def test_a_passkey_at_an_https_address_opens_it_without_a_password(world: World, seat: Seat) -> None:
    """Registered, then used alone, then after the password, all under the RP id of the installation's own host."""
    key = come_in(world, seat, "alice")
    no_suggestions(seat)
    assert seat.page.evaluate("[isSecureContext, location.protocol]") == [True, "https:"]
    assert seat.stolen(key)["rpId"] == HOST
    cookie = next(c for c in seat.page.context.cookies() if c["name"] == "__Host-postern")
    assert cookie["secure"]
    assert cookie["httpOnly"]
    assert cookie["domain"] == HOST
    seat.sign_out()
    seat.page.goto("/account")
    expect(seat.page.locator("h1")).to_have_text("Sign in")
    seat.press("Sign in with a passkey")
    expect(seat.page.locator("h1")).to_have_text("My account")
    expect(seat.page.locator("main")).to_contain_text("alice")
    seat.sign_out()
    give_password(seat, "alice")
    seat.press("Use a passkey or security key")
    seat.page.wait_for_url(re.compile(rf"^https://{re.escape(HOST)}:\d+/$"))


def test_a_passkey_of_another_address_is_nothing_here(world: World, seat: Seat) -> None:
    """A key whose credential is another site's is not offered, and the password alone opens nothing."""
    key = come_in(world, seat, "bob")
    no_suggestions(seat)
    other = {**seat.stolen(key), "rpId": "access.example.org"}
    seat.unplug(key)
    seat.sign_out()
    seat.put(seat.plug_in(LAPTOP), other)
    give_password(seat, "bob")
    impatient(seat)
    seat.press("Use a passkey or security key")
    expect(seat.page.get_by_role("alert")).to_contain_text("No passkey was used", timeout=GIVES_UP)
    seat.page.goto("/account")
    expect(seat.page.locator("h1")).not_to_have_text("My account")
