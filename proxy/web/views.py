"""Pages of the broker's own host that lead to apps."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.views.decorators.http import require_GET

from accounts.guards import signed_in
from accounts.requests import SignedInRequest
from broker.errors import Denied
from broker.services import app_sessions
from broker.services.asking import confirm_path, launch_path
from broker.services.signing_keys import published_keys
from proxy.web.denied_page import denied_page

_JWKS_SECONDS = 300


@require_GET
@signed_in
def launch(request: SignedInRequest, name: str) -> HttpResponse:
    """Open an app: decide, then send the browser there with a one-time code."""
    target, state = request.GET.get("next", "/"), request.GET.get("state", "")
    asked = "asked" in request.GET
    try:
        return HttpResponseRedirect(app_sessions.launch(request.origin, request.login_session, name, target, state))
    except Denied as error:
        if error.denial.confirmable and not asked:
            back = launch_path(name, app_sessions.safe_target(target), state, asked=True)
            return HttpResponseRedirect(confirm_path(back, error.denial))
        return denied_page(request, name, error.denial, target=target, user=request.user.username)


@require_GET
def jwks(request: HttpRequest) -> HttpResponse:
    """The keys with which apps verify who asks (RFC 7517)."""
    response = JsonResponse(published_keys())
    response.headers["Cache-Control"] = f"public, max-age={_JWKS_SECONDS}"
    return response
