"""How a console page is entered: signed in, with the one action that its address stands for, decided and recorded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.http.response import HttpResponseBase
from django.views.decorators.http import require_http_methods

from accounts.guards import signed_in
from accounts.requests import SignedInRequest
from broker.console.desk import desk
from broker.services.decisions import require

View = Callable[..., HttpResponseBase]
READ = ("GET", "HEAD")
WRITE = ("GET", "HEAD", "POST")


def for_everyone(view: View) -> View:
    """A page for whoever is signed in; it shows only what is theirs."""
    return _page(view, READ, "")


def console_page(action: str, methods: tuple[str, ...] = READ) -> Callable[[View], View]:
    """A page that needs `action` (`KIND.VERB`) on what its address names, decided before anything is looked up."""

    def entered(view: View) -> View:
        @functools.wraps(view)
        def decided(request: SignedInRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            name, ident = str(kwargs.get("name", "")), str(kwargs.get("ident", ""))
            require(request.origin, desk(request).subject, action, name, ident)
            return view(request, *args, **kwargs)

        return _page(decided, methods, action)

    return entered


def _page(view: View, methods: tuple[str, ...], action: str) -> View:
    page: View = require_http_methods(methods)(signed_in(view))
    page.action, page.methods = action, methods  # type: ignore[attr-defined]  # for the test of who may what
    return page
