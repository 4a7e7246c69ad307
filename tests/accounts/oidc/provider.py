"""A hostile OpenID Provider: it plays by the rules until a test says otherwise, and signs whatever it is told to."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

CLIENT_ID, CLIENT_SECRET = "postern", "s3cret +/%&: of the client"
ALGORITHMS = ["RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519", "HS256", "none"]
KEY = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
"""Not the provider's, though it says it is called the same."""

EC_KEY = ECKey.generate_key("P-256", {"kid": "ec"}, private=True)
ED_KEY = OKPKey.generate_key("Ed25519", {"kid": "ed"}, private=True)
Answer = tuple[int, dict[str, str], bytes]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(claims: Any, key: Any = KEY, **header: Any) -> str:
    """A token with these claims (a mapping, or bytes as they are)."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    head = {"alg": "RS256", "kid": key.get("kid"), **header}
    registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    return jws.serialize_compact({k: v for k, v in head.items() if v is not None}, payload, key, registry=registry)


class HostileProvider:
    """`with HostileProvider() as op:`; `op.grant(url, claims)` is a person who signs in there and says yes."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.keys: list[Any] = [KEY]
        self.discovery: dict[str, Any] = {}
        self.jwks: dict[str, Any] | None = None
        self.userinfo: dict[str, Any] | None = None
        self.paths: dict[str, Callable[[], Answer]] = {}
        self.forge: Callable[[dict[str, Any]], str] = sign
        self.asked: list[str] = []
        self.bodies: list[str] = []
        self.skew = 0
        self._codes: dict[str, tuple[dict[str, str], dict[str, Any]]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.issuer = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"

    # What a test does there

    def grant(self, url: str, claims: dict[str, Any] | None = None, **answer: str) -> dict[str, str]:
        """Sign in as alice-at-corp and say yes: the parameters the browser brings back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.issuer}/authorize?"), url
        code = secrets.token_urlsafe(16)
        self._codes[code] = (asked, claims or {})
        return {"state": asked["state"], "code": code, "iss": self.issuer, **answer}

    def claims(self, asked: dict[str, str], access_token: str) -> dict[str, Any]:
        """What an honest ID token says."""
        now = int(time.time()) + self.skew
        return {
            "iss": self.issuer,
            "sub": "alice-at-corp",
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "auth_time": now,
            "nonce": asked["nonce"],
            "at_hash": b64(hashlib.sha256(access_token.encode()).digest()[:16]),
            "sid": "session-1",
            "preferred_username": "ada",
            "name": "Ada Example",
            "email": "ada@example.com",
            "email_verified": True,
            "groups": ["staff"],
        }

    def logout_token(self, key: Any = KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A back-channel logout token; a claim of None is left out."""
        now = int(time.time())
        said = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_urlsafe(16),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "sub": "alice-at-corp",
            **claims,
        }
        kept = {name: value for name, value in said.items() if value is not None}
        return sign(kept, key, **{"typ": "logout+jwt", **(header or {})})

    # What it answers

    def _answer(self, method: str, path: str, headers: Any, body: str) -> Answer:
        self.asked.append(path)
        self.bodies.append(body)
        if path in self.paths:
            return self.paths[path]()
        match method, path:
            case "GET", "/.well-known/openid-configuration":
                return _json(self._discovery())
            case "GET", "/keys":
                public = [key.as_dict(private=False) for key in self.keys]
                return _json(self.jwks if self.jwks is not None else {"keys": public})
            case "POST", "/token":
                return self._token(headers, parse_qs(body))
            case "GET", "/userinfo":
                return _json(self.userinfo or {})
        return 404, {}, b""

    def _discovery(self) -> dict[str, Any]:
        at = self.issuer
        document = {
            "issuer": at,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/keys",
            "userinfo_endpoint": f"{at}/userinfo",
            "end_session_endpoint": f"{at}/logout",
            "authorization_response_iss_parameter_supported": True,
            "code_challenge_methods_supported": ["S256"],
            "response_types_supported": ["code"],
            **self.discovery,
        }
        return {name: value for name, value in document.items() if value is not None}

    def _token(self, headers: Any, form: dict[str, list[str]]) -> Answer:
        user, _, password = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
        if (unquote_plus(user), unquote_plus(password)) != (CLIENT_ID, CLIENT_SECRET):
            return _json({"error": "invalid_client"}, 401)
        asked, claims = self._codes.pop(form["code"][0], ({}, {}))
        challenge = b64(hashlib.sha256(form.get("code_verifier", [""])[0].encode()).digest())
        if asked.get("code_challenge") != challenge or asked.get("redirect_uri") != form["redirect_uri"][0]:
            return _json({"error": "invalid_grant"}, 400)
        access_token = secrets.token_urlsafe(16)
        said = {**self.claims(asked, access_token), **claims}
        token = self.forge({name: value for name, value in said.items() if value is not None})
        return _json({"access_token": access_token, "token_type": "Bearer", "id_token": token, "refresh_token": "r-1"})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._reply("GET")

            def do_POST(self) -> None:
                self._reply("POST")

            def _reply(self, method: str) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                status, headers, content = provider._answer(method, urlsplit(self.path).path, self.headers, body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> HostileProvider:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _json(value: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()
