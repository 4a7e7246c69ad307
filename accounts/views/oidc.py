"""To OpenID Providers and back: signing in, confirming, connecting an account, trying a connector, logout."""

from __future__ import annotations

import logging

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import cookies
from accounts.destinations import go_on, safe_next
from accounts.guards import freshly_confirmed, signed_in
from accounts.oidc.errors import ProviderError, ProviderFailed
from accounts.requests import Request, SignedInRequest
from accounts.services import oidc_sign_in as service
from accounts.services.identities import Refused
from accounts.services.oidc_flow import FLOW_TTL, Answer
from accounts.services.oidc_sign_in import Begun, Confirmed, Linked, Report, SigningIn
from accounts.services.provider_logout import log_out
from accounts.views.steps import begin
from broker.errors import Invalid, NotFound, PosternError

log = logging.getLogger(__name__)
LONGEST = 4096
REFUSED = "accounts/oidc_refused.html"


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: Request, name: str) -> HttpResponse:
    """Send the browser to the provider; `next` is where it was going. Who loads the page again begins again."""
    if request.method != "POST":
        return redirect("/sign-in")
    onward = safe_next(request.POST.get("next", ""))
    try:
        return going(request, service.begin_sign_in(request.origin, name, onward, _browser(request)))
    except ProviderError as error:
        return _refused(request, error)


@require_POST
@signed_in
def confirm(request: SignedInRequest, name: str) -> HttpResponse:
    """Give the second factor at the provider, then go on to what wanted it."""
    onward = safe_next(request.POST.get("next", "") or "/account")
    try:
        begun = service.begin_confirm(request.origin, name, request.login_session, onward, _browser(request))
    except ProviderError as error:
        return _refused(request, error)
    return going(request, begun)


@require_http_methods(["GET", "HEAD", "POST"])
@freshly_confirmed
def link(request: SignedInRequest, name: str) -> HttpResponse:
    """Connect the account at a provider with mine, once asked whether I mean it."""
    display = dict(service.choices()).get(name)
    if display is None:
        raise NotFound("there is no such way to sign in", "go back to your account")
    if request.method != "POST":
        return render(request, "accounts/oidc_link.html", {"display": display})
    try:
        return going(request, service.begin_link(request.origin, name, request.login_session, _browser(request)))
    except ProviderError as error:
        return _refused(request, error)


@require_GET
def callback(request: Request, name: str) -> HttpResponse:
    """Where a provider sends browsers back to, whatever they went for."""
    answer = _answer(request)
    try:
        result = service.finish(request.origin, name, answer, _browser(request), request.login_session)
        response = _led_on(request, result)
    except (ProviderError, Refused) as error:
        response = _refused(request, error)
    response.headers["Referrer-Policy"] = "no-referrer"  # the address of this page holds the code
    return response


@csrf_exempt
@require_POST
def backchannel_logout(request: Request, name: str) -> HttpResponse:
    """A provider says that a session there is over (OpenID Connect Back-Channel Logout 1.0)."""
    try:
        log_out(request.origin, name, request.POST.get("logout_token", ""))
    except (ProviderError, NotFound, Invalid) as error:
        log.warning("back-channel logout at %s refused: %s", name[:63], getattr(error, "why", error.message))
        said = {"error": "invalid_request", "error_description": error.message}
        return JsonResponse(said, status=400, headers={"Cache-Control": "no-store"})
    return JsonResponse({}, headers={"Cache-Control": "no-store"})


def going(request: HttpRequest, begun: Begun) -> HttpResponse:
    """Lead the browser to a provider: from a page, since no form of ours may lead off our host (`form-action`)."""
    response = render(request, "accounts/oidc_going_on.html", {"url": begun.url, "display": begun.display})
    cookies.put(response, cookies.PROVIDER, begun.browser, max_age=int(FLOW_TTL.total_seconds()))
    return response


def _led_on(request: Request, result: service.Result) -> HttpResponse:
    match result:
        case SigningIn(token):
            return begin(request, token)
        case Confirmed(token, onward):
            response = go_on(request, onward)
            cookies.put(response, cookies.SESSION, token)
            return response
        case Linked(display, onward):
            messages.success(request, f"You can sign in with {display} from now on.")
            return redirect(onward)
        case Report():
            return render(request, "accounts/oidc_test.html", _as_shown(result))


def _as_shown(report: Report) -> dict[str, object]:
    vouched = report.vouched
    connector = report.connector
    back = f"/console/connectors/{connector.name}"
    context: dict[str, object] = {"report": report, "connector": connector, "back_url": back}
    if vouched is None:
        return context
    arrival = vouched.arrival
    claims = [(name, _in_words(value)) for name, value in sorted(arrival.claims.items())]
    return {**context, "arrival": arrival, "outcome": arrival.outcome, "claims": claims, "factor": vouched.factor}


def _in_words(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(map(_in_words, value)) or "(empty)"
        case dict():
            return "; ".join(f"{name}: {_in_words(item)}" for name, item in value.items()) or "(empty)"
        case _:
            return str(value)


def _answer(request: HttpRequest) -> Answer:
    """What came in the address. A parameter that comes twice, or is too long, counts as absent."""
    found = {name: request.GET.getlist(name) for name in ("state", "code", "iss", "error")}
    said = {name: values[0] if len(values) == 1 and len(values[0]) <= LONGEST else "" for name, values in found.items()}
    if any(len(values) > 1 for values in found.values()):
        said["code"] = ""
    return Answer(**said)


def _browser(request: HttpRequest) -> str:
    return cookies.token(request, cookies.PROVIDER)


def _refused(request: Request, error: PosternError) -> HttpResponse:
    """What happened, what to do, and the request id; from here one can always go back and sign in otherwise."""
    status = 503 if isinstance(error, ProviderFailed) else 403
    back = "/account" if request.login_session else "/sign-in"
    context = {"error": error, "why": getattr(error, "why", ""), "request_id": request.request_id, "back": back}
    return render(request, REFUSED, context, status=status)
