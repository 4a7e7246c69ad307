"""A passkey in software: makes credentials and assertions like a browser with an authenticator, also wrong ones."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

ORIGIN = "http://postern.localhost:8080"
PRESENT, VERIFIED, BACKUP_ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    decoded: bytes = base64.urlsafe_b64decode(text + "===")
    return decoded


@dataclass
class SoftKey:
    """One credential. `counts` as a security key does; those that synchronise stay at 0."""

    synchronised: bool = False
    counts: bool = True
    transports: tuple[str, ...] = ("internal",)
    discoverable: bool | None = True
    ident: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    counter: int = 0
    user_handle: bytes = b""
    _key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: dict[str, Any], **wrong: Any) -> str:
        """What `navigator.credentials.create()` gives for `options`, as the script sends it."""
        self.user_handle = unb64(options["user"]["id"])
        numbers = self._key.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})
        attested = bytes(16) + len(self.ident).to_bytes(2, "big") + self.ident + cose
        data = self._data(options["rp"]["id"], ATTESTED, wrong) + attested
        response = {
            "clientDataJSON": b64(_client_data("webauthn.create", options, wrong)),
            "attestationObject": b64(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
            "transports": list(self.transports),
        }
        extensions = {} if self.discoverable is None else {"credProps": {"rk": self.discoverable}}
        return self._sent(response, extensions)

    def get(self, options: dict[str, Any], **wrong: Any) -> str:
        """What `navigator.credentials.get()` gives. `wrong`: origin, rp_id, verified, challenge, type, handle …"""
        data = self._data(options["rpId"], 0, wrong)
        client_data = _client_data("webauthn.get", options, wrong)
        signature = self._key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        if wrong.get("tampered"):
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        handle = wrong.get("handle", self.user_handle)
        response = {
            "clientDataJSON": b64(client_data),
            "authenticatorData": b64(data),
            "signature": b64(signature),
            **({"userHandle": b64(handle)} if handle else {}),
        }
        return self._sent(response, {})

    def _data(self, rp_id: str, flags: int, wrong: dict[str, Any]) -> bytes:
        if self.counts:
            self.counter += 1
        flags |= PRESENT if wrong.get("present", True) else 0
        flags |= VERIFIED if wrong.get("verified", True) else 0
        flags |= BACKUP_ELIGIBLE | BACKED_UP if wrong.get("synchronised", self.synchronised) else 0
        count: int = wrong.get("count", self.counter)
        named: str = wrong.get("rp_id", rp_id)
        return hashlib.sha256(named.encode()).digest() + bytes([flags]) + count.to_bytes(4, "big")

    def _sent(self, response: dict[str, Any], extensions: dict[str, Any]) -> str:
        ident = b64(self.ident)
        return json.dumps(
            {
                "id": ident,
                "rawId": ident,
                "type": "public-key",
                "authenticatorAttachment": "platform" if "internal" in self.transports else "cross-platform",
                "clientExtensionResults": extensions,
                "response": response,
            }
        )


def _client_data(kind: str, options: dict[str, Any], wrong: dict[str, Any]) -> bytes:
    said = {
        "type": wrong.get("type", kind),
        "challenge": wrong.get("challenge", options["challenge"]),
        "origin": wrong.get("origin", ORIGIN),
        "crossOrigin": wrong.get("cross_origin", False),
    }
    return json.dumps(said).encode()


def options(browser: Any, path: str) -> dict[str, Any]:
    """What our script would get from `path`."""
    answer = browser.post(path, headers={"origin": ORIGIN})
    assert answer.status_code == 200, (answer.status_code, answer.headers.get("Location"), answer.content)
    found: dict[str, Any] = answer.json()
    return found


def registered(person: Any, name: str = "", **how: Any) -> SoftKey:
    """A key that `person` has just added to their account."""
    key = SoftKey(**how)
    credential = key.create(options(person.client, "/account/passkeys/options"))
    answer = person.client.post("/account/passkeys/add", {"credential": credential, "name": name})
    assert answer.status_code == 302, answer.content
    return key
