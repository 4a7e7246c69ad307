"""The JSON API, put together: one version, one way to sign in, one table of failures."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from ninja import NinjaAPI

from broker.api import admin, credentials, history, me, problems, schemas
from broker.api.caller import CliToken
from broker.api.strict_json import StrictParser
from broker.version import VERSION

api = NinjaAPI(
    title="Postern",
    version=VERSION,
    description="What the CLI speaks. Failures are application/problem+json.",
    urls_namespace="api",
    docs_url=None,
    auth=CliToken(),
    parser=StrictParser(),
)
problems.register(api)
problems.know_fields([name for cls in schemas.Body.__subclasses__() for name in cls.model_fields])
api.add_router("", me.router)
api.add_router("", credentials.router)
api.add_router("admin/", history.router)
api.add_router("admin/", admin.router)


def unknown(request: HttpRequest, **_: str) -> HttpResponse:
    """Any other address below `/api/v1/`."""
    return problems.no_such_address(request)


unknown.csrf_exempt = True  # type: ignore[attr-defined]
urlpatterns = [path("", api.urls), re_path(r"^.*$", unknown)]
