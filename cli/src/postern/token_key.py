"""The key that the CLI's token is bound to, and its proofs, one for each request (DPoP, RFC 9449).

A new key for each login, in a file of its own beside `session.json`: that file alone opens nothing. `cryptography` is
imported when a key is used and not before, since most runs of ssh's ProxyCommand use none.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from typing import TYPE_CHECKING

from postern.errors import LoginNeeded
from postern.state import Home

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


class TokenKey:
    """A P-256 key that signs with ES256."""

    def __init__(self, private: EllipticCurvePrivateKey) -> None:
        self._private = private
        point = private.public_key().public_numbers()
        x, y = (_encoded(number.to_bytes(32, "big")) for number in (point.x, point.y))
        self._jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}

    @classmethod
    def new(cls) -> TokenKey:
        """A key that nobody has seen."""
        from cryptography.hazmat.primitives.asymmetric import ec

        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, home: Home) -> TokenKey:
        """The key of the sign-in on this machine. Raises `LoginNeeded` when it cannot be used."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            text = home.token_key.read_bytes()
        except FileNotFoundError:
            raise LoginNeeded(f"the key of this sign-in is missing: there is no {home.token_key}") from None
        except OSError as error:
            raise LoginNeeded(f"cannot read {home.token_key}: {(error.strerror or str(error)).lower()}") from None
        try:
            private = load_pem_private_key(text, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it wants a password
            raise LoginNeeded(f"{home.token_key} is damaged") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise LoginNeeded(f"{home.token_key} is another kind of key")
        return cls(private)

    def save(self, home: Home) -> None:
        """Keep it as the key of the sign-in on this machine, readable by nobody else."""
        from cryptography.hazmat.primitives import serialization as form

        pem = self._private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        home.write(str(home.token_key.relative_to(home.path)), pem.decode())

    @property
    def thumbprint(self) -> str:
        """What the broker knows the key by (RFC 7638)."""
        return _hash_of(json.dumps(self._jwk, separators=(",", ":"), sort_keys=True))

    def proof(self, method: str, address: str, token: str = "") -> str:
        """The value of the header `DPoP` for one request: `address` without its query, and the token it comes with."""
        claims = {"jti": secrets.token_urlsafe(24), "htm": method, "htu": address, "iat": int(time.time())}
        if token:
            claims["ath"] = _hash_of(token)
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self._jwk}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{_encoded(self._signature(signed.encode()))}"

    def _signature(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        from cryptography.hazmat.primitives.hashes import SHA256

        one, other = utils.decode_dss_signature(self._private.sign(data, ec.ECDSA(SHA256())))
        return one.to_bytes(32, "big") + other.to_bytes(32, "big")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _hash_of(text: str) -> str:
    return _encoded(hashlib.sha256(text.encode()).digest())
