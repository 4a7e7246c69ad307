"""A sample web app that knows nothing of passwords: Postern tells it who is there, and it checks that it was Postern.

A page, a form that posts, a WebSocket (a clock that answers) and a stream of server-sent events. It keeps nothing.
"""

from __future__ import annotations

import asyncio
import html
import json
import os
import urllib.request
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PAGE = (Path(__file__).parent / "page.html").read_text()
BROKER = os.environ.get("DEMO_BROKER", "http://postern.localhost:8080")
BROKER_AT = os.environ.get("DEMO_BROKER_AT", "127.0.0.1:8080")
AUDIENCE = os.environ.get("DEMO_AUDIENCE", "http://demo-app.postern.localhost:8080")

_keys: list[KeySet] = []
_said: list[str] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] == "websocket":
        await clock(scope, receive, send)
    elif scope["type"] == "http":
        route = {"/": page, "/whoami": whoami, "/events": events, "/say": say}.get(scope["path"], missing)
        await route(scope, receive, send)


async def claims(scope: Scope) -> dict[str, Any]:
    """What Postern vouches for about this request; empty if nobody vouches, so this must not be reached another way."""
    token = header(scope, "x-postern-assertion")
    try:
        for attempt in (1, 2):
            if not _keys or attempt == 2:  # the second time, because the key may be newer than what we know
                _keys[:] = [await asyncio.to_thread(fetch_keys)]
            try:
                found = jwt.decode(token, _keys[0], algorithms=["ES256"])
                break
            except (JoseError, ValueError):
                if attempt == 2:
                    raise
        registry = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": BROKER},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
        )
        registry.validate(found.claims)
    except (JoseError, ValueError, OSError):
        return {}
    return dict(found.claims)


def fetch_keys() -> KeySet:
    """The broker's public keys. The address is asked on this machine, whatever its name resolves to."""
    request = urllib.request.Request(
        f"http://{BROKER_AT}/.well-known/jwks.json", headers={"Host": urlsplit(BROKER).netloc}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return KeySet.import_key_set(json.load(answer))


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """Who you are, and things to try."""
    known = await claims(scope)
    shown = {
        "user": header(scope, "x-forwarded-user") or "nobody",
        "email": header(scope, "x-forwarded-email") or "–",
        "groups": header(scope, "x-forwarded-groups") or "–",
        "proof": "checked: signed by Postern, for this app" if known else "missing or wrong: do not believe the above",
        "claims": json.dumps(known, indent=2, sort_keys=True),
        "said": "\n".join(_said[-20:]) or "nothing yet",
    }
    text = PAGE
    for name, value in shown.items():
        text = text.replace("{{" + name + "}}", html.escape(value))
    await answer(send, text, "text/html; charset=utf-8")


async def whoami(scope: Scope, receive: Receive, send: Send) -> None:
    """The same for programs."""
    known = await claims(scope)
    body = {"user": header(scope, "x-forwarded-user"), "verified": bool(known), "claims": known}
    await answer(send, json.dumps(body) + "\n", "application/json")


async def say(scope: Scope, receive: Receive, send: Send) -> None:
    """Keeps what was posted: bob's role lets him only look, so he never gets here."""
    if scope["method"] != "POST":
        await answer(send, "post something\n", "text/plain", 405)
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > 4096:
            break
    words = parse_qs(body[:4096].decode("utf-8", "replace")).get("words", [""])[0]
    _said.append(f"{header(scope, 'x-forwarded-user')}: {words[:200]}")
    del _said[:-20]
    await send({"type": "http.response.start", "status": 303, "headers": [(b"location", b"/")]})
    await send({"type": "http.response.body", "body": b""})


async def events(scope: Scope, receive: Receive, send: Send) -> None:
    """A server-sent event each second, until the client leaves or is cut off."""
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.create_task(until_gone(receive))
    while not gone.done():
        body = f"data: {now()}\n\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.wait({gone}, timeout=1)


async def until_gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def clock(scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket that tells the time each second and answers what it is told, with the name of who told it."""
    if (await receive())["type"] != "websocket.connect" or scope["path"] != "/clock":
        return
    user = header(scope, "x-forwarded-user") or "nobody"
    await send({"type": "websocket.accept"})

    async def tick() -> None:
        while True:
            await send({"type": "websocket.send", "text": f"it is {now()}"})
            await asyncio.sleep(1)

    ticking = asyncio.create_task(tick())
    try:
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"{user} says: {str(message.get('text') or '')[:200]}"})
    finally:
        ticking.cancel()


async def missing(scope: Scope, receive: Receive, send: Send) -> None:
    """There is nothing else."""
    await answer(send, "there is no such page\n", "text/plain", 404)


async def answer(send: Send, text: str, kind: str, status: int = 200) -> None:
    """A whole response."""
    headers = [(b"content-type", kind.encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def header(scope: Scope, name: str) -> str:
    """A request header, or nothing."""
    return next((value.decode("utf-8", "replace") for key, value in scope["headers"] if key.decode() == name), "")


def now() -> str:
    """The time of day."""
    return f"{datetime.now(UTC):%H:%M:%S} UTC"
