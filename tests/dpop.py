"""A CLI's key, and the proofs it signs, made with joserfc: neither the CLI's code nor the broker's."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey

BROKER = "http://postern.localhost:8080"
_REGISTRY = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)


class Key:
    """An ES256 key as `postern login` makes one."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256")

    @property
    def thumbprint(self) -> str:
        return self._key.thumbprint()

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half."""
        return dict(self._key.as_dict(private=False))

    @property
    def private_jwk(self) -> dict[str, Any]:
        return dict(self._key.as_dict(private=True))

    def proof(self, method: str, address: str, token: str = "", **changes: Any) -> str:
        """A proof for one request; `header` and claims change what it says, a claim of None is left out."""
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk, **changes.pop("header", {})}
        claims = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": address,
            "iat": int(time.time()),
            **({"ath": hash_of(token)} if token else {}),
            **changes,
        }
        return self.signed({k: v for k, v in header.items() if v is not None}, _without_none(claims))

    def signed(self, header: dict[str, Any], claims: Any) -> str:
        """Any header and claims, signed with this key."""
        return jws.serialize_compact(header, json.dumps(claims), self._key, registry=_REGISTRY)


def hash_of(token: str) -> str:
    """What `ath` says of a token."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def _without_none(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}
