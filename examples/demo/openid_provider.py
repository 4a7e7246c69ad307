"""A sample OpenID Provider for trying Postern out: two people, one password, nothing kept. Never use it for real.

Authorization code with PKCE (OpenID Connect Core, RFC 7636), RP-initiated and back-channel logout. It listens on
loopback and its keys die with it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import html
import json
import os
import secrets
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Values = dict[str, str]

ISSUER = os.environ["DEMO_ISSUER"]
CLIENT_ID, CLIENT_SECRET = "postern", os.environ["DEMO_CLIENT_SECRET"]
BROKER = os.environ["DEMO_BROKER"]
BROKER_AT = os.environ["DEMO_BROKER_AT"]
CALLBACK = f"{BROKER}/oidc/demo-idp/callback"
BACK_CHANNEL = "/oidc/demo-idp/backchannel-logout"
PASSWORD = "demo"  # noqa: S105 - everybody's, and told on the page
PEOPLE: dict[str, dict[str, Any]] = {
    "erin": {"name": "Erin Eriksen", "email": "erin@example.com", "groups": ["demo-engineers", "Everybody"]},
    "frank": {"name": "Frank Fischer", "email": "frank@example.com", "groups": ["demo-viewers", "Everybody"]},
}
PAGE = (Path(__file__).parent / "provider.html").read_text()
KEY = ECKey.generate_key("P-256", {"kid": secrets.token_hex(8), "alg": "ES256", "use": "sig"}, private=True)
COOKIE = "demo-idp"

_codes: dict[str, Values] = {}
_sessions: dict[str, str] = {}  # sid -> person
_tokens: dict[str, str] = {}  # access token -> person


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] != "http":
        return
    routes = {
        "/.well-known/openid-configuration": discovery,
        "/jwks": jwks,
        "/authorize": authorize,
        "/token": token,
        "/userinfo": userinfo,
        "/logout": logout,
        "/": home,
    }
    await routes.get(scope["path"], home)(scope, await _body(receive), send)


async def discovery(scope: Scope, form: Values, send: Send) -> None:
    """What there is (OpenID Connect Discovery 1.0)."""
    document = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
        "userinfo_endpoint": f"{ISSUER}/userinfo",
        "end_session_endpoint": f"{ISSUER}/logout",
        "jwks_uri": f"{ISSUER}/jwks",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "email", "profile", "groups"],
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
    }
    await _json(send, document)


async def jwks(scope: Scope, form: Values, send: Send) -> None:
    """The public key."""
    await _json(send, {"keys": [KEY.as_dict(private=False)]})


async def authorize(scope: Scope, form: Values, send: Send) -> None:
    """Ask who it is, unless this browser is signed in here; then send a code back."""
    asked = _query(scope)
    if asked.get("client_id") != CLIENT_ID or asked.get("redirect_uri") != CALLBACK:
        await _page(send, "<p role=alert>This did not come from the Postern that this demo belongs to.</p>", 400)
        return
    if asked.get("code_challenge_method") != "S256" or asked.get("response_type") != "code":
        await _redirect(send, CALLBACK, {"error": "invalid_request", "state": asked.get("state", ""), "iss": ISSUER})
        return
    sid = _cookie(scope)
    problem = ""
    if scope["method"] == "POST":
        sid = ""
        if form.get("name") in PEOPLE and hmac.compare_digest(form.get("password", "").encode(), PASSWORD.encode()):
            sid = secrets.token_urlsafe(24)
            _sessions[sid] = form["name"]
        else:
            problem = "<p role=alert>Name or password is wrong.</p>"
    elif asked.get("prompt") == "login" or asked.get("max_age") == "0":
        sid = ""
    if not _sessions.get(sid):
        await _page(send, problem + _form())
        return
    code = secrets.token_urlsafe(24)
    kept = {name: asked.get(name, "") for name in ("nonce", "code_challenge")}
    _codes[code] = {**kept, "person": _sessions[sid], "sid": sid, "at": str(time.time())}
    answer = {"code": code, "state": asked.get("state", ""), "iss": ISSUER}
    await _redirect(send, CALLBACK, answer, cookie=sid)


async def token(scope: Scope, form: Values, send: Send) -> None:
    """Trade a code, once, within a minute, for tokens."""
    if not _is_client(scope, form):
        await _json(send, {"error": "invalid_client"}, 401)
        return
    found = _codes.pop(form.get("code", ""), None)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
    good = found is not None and time.time() - float(found["at"]) < 60
    if found is None or not good or challenge.rstrip(b"=").decode() != found["code_challenge"]:
        await _json(send, {"error": "invalid_grant"}, 400)
        return
    now, person = int(time.time()), found["person"]
    claims = {
        **_about(person),
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "iat": now,
        "exp": now + 300,
        "auth_time": now,
        "amr": ["pwd"],
        "sid": found["sid"],
        "nonce": found["nonce"],
    }
    access = secrets.token_urlsafe(24)
    _tokens[access] = person
    answer = {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": _sign(claims, "JWT")}
    await _json(send, answer)


async def userinfo(scope: Scope, form: Values, send: Send) -> None:
    """The same claims for an access token."""
    person = _tokens.get(_header(scope, b"authorization").removeprefix("Bearer "), "")
    await _json(send, _about(person) if person else {"error": "invalid_token"}, 200 if person else 401)


async def logout(scope: Scope, form: Values, send: Send) -> None:
    """Sign out here, tell Postern so behind the browser's back, and go back there."""
    sid = _cookie(scope)
    person = _sessions.pop(sid, "")
    if person:
        now = int(time.time())
        event: dict[str, object] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        claims = {
            "iss": ISSUER,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(16),
            "sub": f"demo-{person}",
            "sid": sid,
            "events": event,
        }
        await asyncio.to_thread(_tell, _sign(claims, "logout+jwt"))
    back = {**_query(scope), **form}.get("post_logout_redirect_uri", "")
    if back.startswith(f"{BROKER}/"):
        await _redirect(send, back, {}, cookie="")
    else:
        await _page(send, "<p>You are signed out here, and at Postern.</p>")


async def home(scope: Scope, form: Values, send: Send) -> None:
    """Who is signed in here, and a way out."""
    person = _sessions.get(_cookie(scope), "")
    text = (
        f"<p>Signed in here: <strong>{html.escape(person)}</strong>.</p>"
        if person
        else "<p>Nobody is signed in here.</p>"
    )
    await _page(send, text + "<form method=post action=/logout><button>Sign out here and at Postern</button></form>")


def _about(person: str) -> dict[str, Any]:
    return {"sub": f"demo-{person}", "preferred_username": person, "email_verified": True, **PEOPLE[person]}


def _sign(claims: dict[str, Any], kind: str) -> str:
    return jwt.encode({"alg": "ES256", "kid": KEY.kid, "typ": kind}, claims, KEY)


def _tell(logout_token: str) -> None:
    """Post a logout token to Postern (OpenID Connect Back-Channel Logout 1.0)."""
    request = urllib.request.Request(
        f"http://{BROKER_AT}{BACK_CHANNEL}",
        data=urlencode({"logout_token": logout_token}).encode(),
        headers={"Host": urlsplit(BROKER).netloc, "Content-Type": "application/x-www-form-urlencoded"},
    )
    try:
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - our own address
    except OSError as error:
        print(f"demo-idp: Postern did not take the logout: {error}", flush=True)


def _is_client(scope: Scope, form: Values) -> bool:
    given = f"{form.get('client_id', '')}:{form.get('client_secret', '')}"
    basic = _header(scope, b"authorization")
    if basic.startswith("Basic "):
        try:
            given = ":".join(unquote(part) for part in base64.b64decode(basic[6:]).decode().split(":", 1))
        except ValueError:
            return False
    return hmac.compare_digest(given.encode(), f"{CLIENT_ID}:{CLIENT_SECRET}".encode())


def _form() -> str:
    names = "".join(
        f"<label><input type=radio name=name value={name} required> "
        f"{about['name']} ({', '.join(about['groups'])})</label>"
        for name, about in PEOPLE.items()
    )
    return (
        f"<form method=post><fieldset><legend>Who are you?</legend>{names}</fieldset>"
        f"<label>Password (it is “{PASSWORD}”)<input type=password name=password required autofocus></label>"
        "<button>Sign in</button></form>"
    )


async def _body(receive: Receive) -> Values:
    data, more = b"", True
    while more and len(data) < 65_536:
        message = await receive()
        data, more = data + message.get("body", b""), message.get("more_body", False)
    return _single(data.decode("utf-8", "replace"))


def _query(scope: Scope) -> Values:
    return _single(scope["query_string"].decode("ascii", "replace"))


def _single(text: str) -> Values:
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _cookie(scope: Scope) -> str:
    parts = (part.strip().partition("=") for part in _header(scope, b"cookie").split(";"))
    return next((value for name, _, value in parts if name == COOKIE), "")


async def _json(send: Send, document: object, status: int = 200) -> None:
    await _answer(send, status, json.dumps(document).encode(), [(b"content-type", b"application/json")])


async def _page(send: Send, inner: str, status: int = 200) -> None:
    await _answer(
        send, status, PAGE.replace("{inner}", inner).encode(), [(b"content-type", b"text/html; charset=utf-8")]
    )


async def _redirect(send: Send, to: str, query: Values, cookie: str | None = None) -> None:
    headers = [(b"location", f"{to}?{urlencode(query)}".encode() if query else to.encode())]
    if cookie is not None:
        headers.append((b"set-cookie", f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax".encode()))
    await _answer(send, 303, b"", headers)


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    more = [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *more]})
    await send({"type": "http.response.body", "body": body})
