"""The CLI signs in: a page that asks the person, and the exchange of the code (RFC 6749, 8252, 8414, 9207, 9449)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import OAuth2Error
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import oauth
from accounts.guards import signed_in
from accounts.requests import Request, SignedInRequest


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def authorize(request: SignedInRequest) -> HttpResponse:
    """Ask the person whether it was they who started the CLI; only then a code is written."""
    try:
        grant = oauth.server.get_consent_grant(request, end_user=request.user)
    except OAuth2Error as error:
        return _bad_request(request, error)
    if request.method != "POST":
        return _consent(request)
    person = request.user if request.POST.get("answer") == "allow" else None
    response: HttpResponse = oauth.server.create_authorization_response(request, grant_user=person, grant=grant)
    if response.status_code != 302:
        return _consent(request)
    if oauth.is_paste(request.GET["redirect_uri"]):
        return _paste(request, response.headers["Location"])
    response.headers["Location"] = add_params_to_uri(response.headers["Location"], [("iss", settings.POSTERN.url)])
    return response


@require_safe
def code(request: HttpRequest) -> HttpResponse:
    """Where a code would be shown; without one, home."""
    return redirect("/")


@csrf_exempt  # no cookie counts here: the code, its verifier and the key are the proof
@require_POST
def token(request: Request) -> HttpResponse:
    """Exchange a code for the CLI's token, which opens nothing without the key."""
    with transaction.atomic():
        response: HttpResponse = oauth.server.create_token_response(request)
    return response


@require_safe
def metadata(request: HttpRequest) -> HttpResponse:
    """What clients may know of this server (RFC 8414)."""
    url = settings.POSTERN.url
    return JsonResponse(
        {
            "issuer": url,
            "authorization_endpoint": url + oauth.AUTHORIZE,
            "token_endpoint": url + oauth.TOKEN,
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "authorization_response_iss_parameter_supported": True,
            "dpop_signing_alg_values_supported": ["ES256"],
        }
    )


def _consent(request: SignedInRequest) -> HttpResponse:
    redirect_uri = request.GET["redirect_uri"]
    context: dict[str, Any] = {
        "device_name": oauth.device_name(request),
        "address": request.address,
        "at": timezone.now(),
        "user": request.user,
        "paste": oauth.is_paste(redirect_uri),
    }
    response = render(request, "accounts/cli_consent.html", context)
    if oauth.is_loopback(redirect_uri):
        parts = urlsplit(redirect_uri)
        # the answer to the form leads to the CLI's own listener, which the policy must know
        response._csp_update = {"form-action": f"{parts.scheme}://{parts.netloc}"}  # type: ignore[attr-defined]
    return response


def _paste(request: SignedInRequest, location: str) -> HttpResponse:
    given = parse_qs(urlsplit(location).query)
    return render(request, "accounts/cli_code.html", {"code": given.get("code", [""])[0]})


def _bad_request(request: SignedInRequest, error: Any) -> HttpResponse:
    """Wrong in a way that must not be sent anywhere: the person sees it."""
    context = {"text": error.description or error.error}
    return render(request, "accounts/cli_bad_request.html", context, status=400)
