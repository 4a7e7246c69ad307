"""What an app is told about who asks: plain headers, and a signed assertion (JWT, RFC 7519) it can verify."""

from __future__ import annotations

import secrets

from joserfc import jwt
from joserfc.jwk import ECKey

from broker.live import LiveApp, LiveUser
from broker.policy import Subject

LIFETIME = 60
"""Seconds an assertion is valid."""

REUSE = 20
"""Seconds the same assertion is sent with further requests of a session: signing costs more than deciding."""

_MOST_GROUPS = 200


class Assertions:
    """Signs assertions in the name of the broker's address."""

    def __init__(self, issuer: str, key: ECKey) -> None:
        self._issuer = issuer
        self.key = key

    def sign(self, subject: Subject, user: LiveUser, app: LiveApp, audience: str, at: float) -> str:
        """An assertion for one app: `aud` is its address, `sub` the user's id."""
        now = int(at)
        claims = {
            "iss": self._issuer,
            "aud": audience,
            "sub": subject.id,
            "name": subject.name,
            "preferred_username": subject.name,
            "email": user.email,
            "groups": sorted(subject.groups)[:_MOST_GROUPS],
            "kind": subject.kind,
            "app": app.name,
            "iat": now,
            "nbf": now - 5,
            "exp": now + LIFETIME,
            "jti": secrets.token_urlsafe(16),
        }
        header = {"alg": "ES256", "typ": "JWT", "kid": self.key.kid}
        return jwt.encode(header, claims, self.key, algorithms=["ES256"])


def groups_value(subject: Subject) -> str:
    """The groups in one header: sorted, comma between, a comma or percent sign in a name percent-encoded."""
    names = (name.replace("%", "%25").replace(",", "%2C") for name in sorted(subject.groups)[:_MOST_GROUPS])
    return ",".join(names)
