"""The ASGI application of the `web` process.

Everything of ours that answers a request is synchronous, so it is run in one hop on a few threads that stay. Django's
own way takes several hops and a new thread for each request, and with it a new connection to the database.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")

import django

django.setup(set_prefix=False)

from django.core.exceptions import RequestAborted  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.db import close_old_connections, connection  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.http.response import HttpResponseBase  # noqa: E402

TRUSTED = 2.0
"""Seconds after which a connection that was good is asked again whether it still is, before a request relies on it."""
THREADS = 8
"""Requests answered at a time by one process; each thread keeps a connection to the database."""


Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application(ASGIHandler):
    """Django's handler, its chain of middleware and the view on one thread."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(THREADS, "request")
        self._used = threading.local()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        """One request. Its signals are left out: what hangs on them here is done in `_answer`."""
        if scope["type"] != "http":
            raise ValueError(f"only HTTP is spoken here, not {scope['type']}")
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        try:
            request, refused = self.create_request(scope, body)
            response: Any = refused if request is None else await self._in_thread(request)
            if response.streaming:
                await self.send_response(response, send)  # type: ignore[arg-type]
            else:
                await _send(response, send)
                response.close()
        finally:
            body.close()

    async def _in_thread(self, request: HttpRequest) -> Any:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, context.run, self._answer, request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        close_old_connections()  # those that broke: what Django does at a request's start happens on another thread
        if time.monotonic() - getattr(self._used, "at", 0.0) < TRUSTED:
            connection.health_check_done = True  # type: ignore[attr-defined]  # of Django, unknown to its stubs
        try:
            return self.get_response(request)
        finally:
            self._used.at = 0.0 if connection.errors_occurred else time.monotonic()
            close_old_connections()


async def _send(response: HttpResponse, send: Send) -> None:
    """An answer that is there as a whole."""
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"Set-Cookie", cookie.OutputString().encode("ascii")) for cookie in response.cookies.values()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})


application = Application()
