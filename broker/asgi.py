"""The ASGI application of the `web` process.

Everything of ours that answers a request is synchronous, so it is run in one hop on a few threads that stay. Django's
own way takes three hops and a new thread for each request, and with it a new connection to the database.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")

import django

django.setup(set_prefix=False)

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.db import close_old_connections  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.http.response import HttpResponseBase  # noqa: E402

THREADS = 8
"""Requests answered at a time by one process; each thread keeps a connection to the database."""


class Application(ASGIHandler):
    """Django's handler, its chain of middleware and the view on one thread."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(THREADS, "request")

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """The answer, from one of the threads."""
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, context.run, self._answer, request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        close_old_connections()  # those that broke: what Django does at a request's start happens on another thread
        try:
            return self.get_response(request)
        finally:
            close_old_connections()


application = Application()
