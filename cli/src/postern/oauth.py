"""Signing the CLI in through the browser: OAuth 2 code flow with PKCE S256 on a loopback redirect (RFC 8252).

Code and token are bound to a key made for this sign-in (DPoP, RFC 9449), which the first request names already.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import queue
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from postern import client
from postern.errors import CliError, Denied, LoginNeeded, UsageProblem
from postern.token_key import TokenKey

CLIENT_ID = "postern-cli"
EXCHANGE = "/oauth/token"
PATIENCE = 300.0
"""Seconds to wait for the person in the browser."""
PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>Postern</title><style>:root{{color-scheme:light dark}}"
    "body{{font:1.1rem/1.6 system-ui;max-width:32rem;margin:20vh auto;padding:0 1rem}}</style>"
    "<h1>Postern</h1><p>{}</p></html>"
)


@dataclass(frozen=True, slots=True)
class Flow:
    """One sign-in under way: what only we know, and where the answer is to come."""

    url: str
    redirect_uri: str
    key: TokenKey = field(default_factory=TokenKey.new, repr=False)
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    def address(self) -> str:
        """Where the person must go."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        return f"{self.url}/oauth/authorize?" + urlencode(
            {
                "response_type": "code",
                "client_id": CLIENT_ID,
                "redirect_uri": self.redirect_uri,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
                "state": self.state,
                "dpop_jkt": self.key.thumbprint,
                "device_name": device_name(),
            }
        )

    def code_in(self, query: str) -> str:
        """The code in a redirect's query, if it answers this flow and comes from this broker (RFC 9207)."""
        given = {name: values[0] for name, values in parse_qs(query).items() if len(values) == 1}
        if not hmac.compare_digest(given.get("state", "").encode(), self.state.encode()):
            raise CliError("the browser's answer belongs to another sign-in", "run: postern login")
        if given.get("iss", "").rstrip("/") != self.url:
            raise CliError(
                f"the answer comes from {given.get('iss') or 'nobody'} and not from {self.url}",
                "sign in at the address the broker calls its own: postern login URL",
            )
        if error := given.get("error"):
            raise Denied(f"the sign-in was refused: {given.get('error_description') or error}", "run: postern login")
        if not given.get("code"):
            raise CliError("the browser came back without a code", "run: postern login")
        return given["code"]

    def token(self, code: str) -> tuple[str, float]:
        """Trade the code for an access token: (token, Unix seconds when it ends)."""
        form = {
            "grant_type": "authorization_code",
            "client_id": CLIENT_ID,
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }
        asked_at = time.time()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "DPoP": self.key.proof("POST", f"{self.url}{EXCHANGE}"),
        }
        response = client.exchange(self.url, "POST", EXCHANGE, headers=headers, body=urlencode(form).encode())
        if response.status in (400, 401):
            raise _refused(response)
        answer = client.answer_of(self.url, response)
        try:
            token, kind = str(answer["access_token"]), str(answer["token_type"])
            expires_at = asked_at + float(answer["expires_in"])
        except (KeyError, TypeError, ValueError):
            raise CliError("the broker's answer holds no token", "are the CLI and the broker of one version?") from None
        if kind.lower() != "dpop":
            raise CliError(
                "the broker does not bind the token to a key of this machine",
                "are the CLI and the broker of one version?",
            )
        return token, expires_at


def _refused(response: client.Response) -> CliError:
    try:
        answer = json.loads(response.body)
        words = answer.get("error_description") or answer.get("error") or answer.get("detail")
    except (ValueError, AttributeError):
        words = None
    return LoginNeeded(f"the broker did not take the code: {words or response.status}", "run: postern login")


def device_name() -> str:
    """This machine's name, for the list of login sessions."""
    return "".join(c for c in socket.gethostname() if c.isascii() and c.isprintable())[:60] or "unknown"


class Callback:
    """A server on 127.0.0.1 that takes the one redirect which answers a flow."""

    def __init__(self, port: int = 0) -> None:
        try:
            self._server = _Server(("127.0.0.1", port), _Page)
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            raise UsageProblem(f"cannot listen on 127.0.0.1:{port}: {words}", "choose another with --port") from None

    @property
    def redirect_uri(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/callback"

    def wait(self, flow: Flow, patience: float = PATIENCE) -> str:
        """The code; answers that belong to other sign-ins are turned away and do not end the wait."""
        self._server.state = flow.state
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            return flow.code_in(self._server.queries.get(timeout=patience))
        except queue.Empty:
            raise LoginNeeded("nobody signed in within 5 minutes", "run: postern login") from None
        finally:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    """Threads, since browsers open connections ahead and leave them idle."""

    daemon_threads = True
    state = ""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.queries: queue.Queue[str] = queue.Queue()


class _Page(BaseHTTPRequestHandler):
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path != "/callback":
            self._answer(404, "Nothing here.")
            return
        given = parse_qs(parts.query)
        if not hmac.compare_digest(given.get("state", [""])[0].encode(), self.server.state.encode()):
            self._answer(400, "This answer belongs to another sign-in. Nothing was done.")
            return
        if "error" in given:
            self._answer(200, "The sign-in was refused. The terminal says more; you can close this tab.")
        else:
            self._answer(200, f"The terminal on {device_name()} has its answer. You can close this tab.")
        self.server.queries.put(parts.query)

    def _answer(self, status: int, text: str) -> None:
        page = PAGE.format(html.escape(text)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep codes out of the terminal."""


def pasted_code(flow: Flow, text: str) -> str:
    """The code in what was pasted: the code itself, or the whole address the browser ended at."""
    text = text.strip()
    if text.startswith(("http://", "https://")):
        return flow.code_in(urlsplit(text).query)
    if not text or not all(c.isascii() and (c.isalnum() or c in "-._~") for c in text):
        raise UsageProblem("that is not a code", "copy the code from the page, all of it")
    return text
