"""A broker by contract, for the CLI's own tests: the JSON API on a loopback port as docs/architecture.md has it.

What an answer says is up to the test; certificates are signed by a real `ssh-keygen` with a CA made for the run, and
proofs of keys are checked by joserfc. The tests against the real broker are in tests/real.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jws, jwt
from joserfc.jwk import ECKey
from postern.token_key import TokenKey

from tests.dpop import hash_of

TOKEN = "ptn_cli_" + "a" * 43


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"


Answer = tuple[int, Any]


@dataclass
class BrokerDouble:
    """The broker's address, its answers by `METHOD /path`, what it was asked, and the key its token is bound to."""

    directory: Path
    answers: dict[str, Answer | Callable[[Asked], Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    server_port: int = 22
    lifetime: int = 300
    key_thumbprint: str = ""
    proofs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("user_ca", "host_ca"):
            make_key(self.directory / name)
        self._codes: dict[str, dict[str, str]] = {}
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                double._serve(self)

            do_POST = do_DELETE = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://postern.localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.answers |= {
            "GET /api/v1/status": (200, self.status()),
            "GET /api/v1/ssh": (200, {"suffix": "postern", "host_ca": [self.host_ca], "servers": []}),
            "POST /api/v1/certificates/access": self._access,
            "DELETE /api/v1/session": (204, None),
            "GET /healthz": (200, {}),
            "POST /oauth/token": self._token,
        }

    @property
    def host_ca(self) -> str:
        return (self.directory / "host_ca.pub").read_text().strip()

    @property
    def user_ca(self) -> str:
        return (self.directory / "user_ca.pub").read_text().strip()

    def new_token_key(self) -> TokenKey:
        """A key, to which the token is bound from now on."""
        key = TokenKey.new()
        self.key_thumbprint = key.thumbprint
        return key

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def asked_for(self, key: str) -> list[Asked]:
        """The requests of one kind, in order."""
        return [asked for asked in self.asked if asked.key == key]

    def status(self, **more: Any) -> dict[str, Any]:
        now = time.time()
        session = {
            "id": "6f2d",
            "kind": "cli",
            "started_at": iso(now - 60),
            "expires_at": iso(now + 8 * 3600),
            "mfa_at": iso(now - 300),
            "amr": ["pwd", "otp"],
        }
        return {"user": "alice", "roles": ["dev", "ops"], "groups": ["sre"], "traits": {}, "session": session} | more

    def authorize(self, address: str, **overrides: str) -> str:
        """What the browser does: sign alice in and say where it is sent then."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert len(query["dpop_jkt"]) == 43
        self._codes["the-code"] = query
        answer = {"code": "the-code", "state": query["state"], "iss": self.url} | overrides
        return f"{query['redirect_uri']}?{urlencode({k: v for k, v in answer.items() if v})}"

    def _token(self, asked: Asked) -> Answer:
        form = asked.body
        query = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if query is None or query["code_challenge"] != challenge or query["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant", "error_description": "this code is not good"}
        if self.proved_key(asked) != query["dpop_jkt"]:
            return 400, {"error": "invalid_grant", "error_description": "this code is for another key"}
        self.key_thumbprint = query["dpop_jkt"]
        return 200, {"access_token": TOKEN, "token_type": "DPoP", "expires_in": 28800}

    def proved_key(self, asked: Asked, token: str = "") -> str:
        """The thumbprint of the key that signed this very request, now, for the first time; empty if none did."""
        proof = asked.headers.get("DPoP", "")
        if not proof or proof in self.proofs:
            return ""
        key = ECKey.import_key(jws.extract_compact(proof.encode()).headers()["jwk"])
        found = jwt.decode(proof, key, algorithms=["ES256"])
        assert found.header["typ"] == "dpop+jwt"
        assert not key.is_private
        self.proofs.append(proof)
        wanted = {"htm": asked.method, "htu": self.url + asked.path}
        if token:
            wanted["ath"] = hash_of(token)
        good = {name: found.claims.get(name) for name in ("htm", "htu", "ath") if name in found.claims} == wanted
        return key.thumbprint() if good and abs(time.time() - found.claims["iat"]) < 60 else ""

    def _access(self, asked: Asked) -> Answer:
        login, server = asked.body["login"], asked.body["server"]
        certificate = self.certify_user(asked.body["public_key"], f"{login}@{server}", self.lifetime)
        return 200, {
            "certificate": certificate,
            "serial": 42,
            "key_id": "postern:access:alice",
            "principals": [f"{login}@{server}"],
            "valid_after": iso(time.time() - 30),
            "valid_before": iso(time.time() + self.lifetime),
            "server": {"name": server, "address": "127.0.0.1", "port": self.server_port},
            "host_ca": [self.host_ca],
        }

    def certify_user(self, key: str, principal: str, lifetime: int) -> str:
        return self._certify(key, ["-n", principal, "-V", f"-30s:+{lifetime}s", "-z", "42"], "user_ca")

    def certify_host(self, name: str) -> Callable[[str], str]:
        """A signer of host keys for NAME.postern."""
        return lambda key: self._certify(key, ["-h", "-n", f"{name}.postern,{name}", "-V", "-5m:+1d"], "host_ca")

    def _certify(self, key: str, options: list[str], authority: str) -> str:
        file = self.directory / f"to-sign-{threading.get_ident()}-{time.monotonic_ns()}.pub"
        file.write_text(key + "\n")
        command = ["ssh-keygen", "-q", "-s", str(self.directory / authority), "-I", "postern:access:alice", *options]
        subprocess.run([*command, str(file)], check=True, capture_output=True)
        return file.with_name(file.stem + "-cert.pub").read_text().strip()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        data = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        body: Any = None
        if data and "json" in handler.headers.get("Content-Type", ""):
            body = json.loads(data)
        elif data:
            body = {name: values[0] for name, values in parse_qs(data.decode()).items()}
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        asked = Asked(handler.command, parts.path, query, dict(handler.headers.items()), body)
        self.asked.append(asked)
        status, answer = self._answer(asked)
        content = b"" if answer is None else json.dumps(answer).encode()
        handler.send_response(status)
        kind = (
            "application/problem+json" if status >= 400 and not parts.path.startswith("/oauth") else "application/json"
        )
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content)))
        if status == 429:
            handler.send_header("Retry-After", "7")
        handler.end_headers()
        handler.wfile.write(content)

    def _is_signed_in(self, asked: Asked) -> bool:
        has_token = asked.headers.get("Authorization") == f"DPoP {TOKEN}"
        return has_token and self.key_thumbprint != "" and self.proved_key(asked, TOKEN) == self.key_thumbprint

    def _answer(self, asked: Asked) -> Answer:
        if asked.path.startswith("/api/") and not self._is_signed_in(asked):
            return 401, {"title": "Sign in", "status": 401, "request_id": "req-401"}
        found = self.answers.get(asked.key, (404, {"title": "Not found", "status": 404, "request_id": "req-404"}))
        return found(asked) if callable(found) else found


DENIED: Answer = (
    403,
    {
        "title": "Access denied",
        "status": 403,
        "detail": "no role lets you log in as root on db-1",
        "reasons": [{"reason": "login-not-allowed", "text": "no role of yours allows the login root"}],
        "hint": "ask an administrator for a role with the login root",
        "request_id": "4f2a9c",
    },
)


def make_key(file: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", file.name, "-f", str(file)], check=True)


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
