"""The JSON API, put together: one version, one way to sign in, one table of failures."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from broker.api import admin, confirm, credentials, history, me, my_sessions, problems, schemas
from broker.api.caller import CliToken
from broker.api.strict_json import StrictParser
from broker.version import VERSION

View = Callable[..., HttpResponseBase]


class Api(NinjaAPI):
    """An API that documents what every call may answer."""

    def get_openapi_schema(self, **how: Any) -> OpenAPISchema:
        """The description, with problem details as the answer to whatever fails."""
        schema = super().get_openapi_schema(**how)
        problem = schemas.ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        known = schema["components"]["schemas"]
        known |= problem.pop("$defs", {}) | {"ProblemDetails": problem}
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
        for operations in schema["paths"].values():
            for operation in operations.values():
                operation["responses"]["default"] = {"description": "what went wrong", "content": content}
        return schema


api = Api(
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
api.add_router("", my_sessions.router)
api.add_router("", credentials.router)
api.add_router("", confirm.router)
api.add_router("admin/", history.router)
api.add_router("admin/", admin.router)


def unknown(request: HttpRequest, **_: str) -> HttpResponse:
    """Any other address below `/api/v1/`."""
    return problems.no_such_address(request)


def told_as_problem(view: View) -> View:
    """The same view, but that a method is not allowed is told like every other failure."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        return problems.wrong_method(request, response) if isinstance(response, HttpResponseNotAllowed) else response

    return wrapped


patterns, _, namespace = api.urls
for pattern in patterns:
    pattern.callback = told_as_problem(cast(View, pattern.callback))
urlpatterns = [path("", (patterns, "ninja", namespace)), re_path(r"^.*$", csrf_exempt(unknown))]
