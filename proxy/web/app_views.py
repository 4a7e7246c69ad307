"""What nginx asks of us on an app's host: the callback, signing out, and pages about failures.

nginx is the only client of our socket; on apps' hosts it names the app in `X-Postern-App`, on the broker's host it
clears that header and does not let these addresses through.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from accounts import cookies
from accounts.requests import Request
from broker.audit.event import AppUnreachable
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.console.errors import error_page
from broker.errors import PosternError
from broker.models import AccessSession, App
from broker.policy import Denial, Reason
from broker.services import app_sessions
from broker.services.asking import confirm_path, launch_path
from broker.tokens import digest
from proxy.web.credentials import APP_COOKIE, STATE_COOKIE
from proxy.web.denied_page import denied_page, problem

AppView = Callable[[Request, App], HttpResponse]
_REPORT_EVERY = 1.0
_KNOWN_REASONS = {str(reason) for reason in Reason}
_last_report: dict[str, float] = {}


def on_app_host(view: AppView) -> Callable[[HttpRequest], HttpResponse]:
    """Only as nginx asks on an app's host; gives the view that app."""

    @functools.wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        app = _app(request.headers.get("X-Postern-App", ""))
        if app is None:
            raise Http404
        return view(cast(Request, request), app)

    return guarded


def _app(ident: str) -> App | None:
    try:
        return App.objects.filter(pk=UUID(ident)).first()
    except ValueError:
        return None


@require_GET
@on_app_host
def callback(request: Request, app: App) -> HttpResponse:
    """The browser comes with a one-time code: give it the app's session cookie."""
    state = cookies.token(request, STATE_COOKIE)
    try:
        token, access, target = app_sessions.redeem(request.origin, str(app.pk), request.GET.get("code", ""), state)
    except app_sessions.NotStarted as error:
        return _not_started(request, app, error)
    except PosternError as error:
        steps = [{"text": f"open {app.name} again", "url": f"{settings.POSTERN.url}/launch/{app.name}"}]
        context = {"text": error.message, "hint": error.hint, "next_steps": steps, "app_name": app.name}
        return error_page(request, "errors/400.html", 400, home_url=settings.POSTERN.url, **context)
    response = HttpResponseRedirect(target)
    cookies.put(response, APP_COOKIE, token, max_age=max(1, int(access.expires_at.timestamp() - time.time())))
    return response


def _not_started(request: Request, app: App, error: app_sessions.NotStarted) -> HttpResponse:
    """Permitted when it was launched and no longer: another launch may have taken the confirmation. Asked for anew."""
    if not error.denial.confirmable:
        return denied_page(request, app.name, error.denial, target=error.target)
    state = cookies.token(request, STATE_COOKIE)
    back = launch_path(app.name, error.target, digest(state) if state else "", asked=True)
    return HttpResponseRedirect(settings.POSTERN.url + confirm_path(back, error.denial))


@csrf_exempt  # the origin is looked at instead: there is no form of ours on an app's host
@require_POST
@on_app_host
def sign_out(request: Request, app: App) -> HttpResponse:
    """End the app session."""
    if request.headers.get("Origin", "") != settings.POSTERN.app_url(app.host):
        return problem(request, 403, "access denied", "this did not come from the app's own page", "")
    access = app_sessions.access_by_token(cookies.token(request, APP_COOKIE), str(app.pk))
    if access:
        app_sessions.end(_origin_of(request, access), access)
    response = HttpResponseRedirect(settings.POSTERN.url)
    response.status_code = 303
    cookies.drop(response, APP_COOKIE)
    return response


@on_app_host
def denied(request: Request, app: App) -> HttpResponse:
    """The decision was no."""
    said = request.headers
    reasons = tuple(Reason(word) for word in said.get("X-Postern-Reasons", "").split(",") if word in _KNOWN_REASONS)
    return denied_page(
        request,
        app.name,
        Denial(reasons, detail=unquote(said.get("X-Postern-Detail", ""))),
        target=said.get("X-Postern-Target", "/"),
        method=said.get("X-Postern-Method", "GET"),
        user=said.get("X-Postern-User", ""),
    )


@on_app_host
def unavailable(request: Request, app: App) -> HttpResponse:
    """There was no decision."""
    return error_page(request, "errors/503.html", 503, app_name=app.name, home_url="")


@on_app_host
def unreachable(request: Request, app: App) -> HttpResponse:
    """The app behind us did not answer."""
    status = 504 if request.headers.get("X-Postern-Status") == "504" else 502
    _report(request, app, status)
    if not _wants_html(request):
        return problem(request, status, "app not answering", f"{app.name} does not answer", "try again in a moment")
    return error_page(request, "errors/502.html", status, app_name=app.name, home_url=settings.POSTERN.url)


def _report(request: Request, app: App, status: int) -> None:
    """Put it on record, at most once a second for an app: a page may ask for a hundred things at once."""
    now = time.monotonic()
    if now - _last_report.get(str(app.pk), -_REPORT_EVERY) < _REPORT_EVERY:
        return
    _last_report[str(app.pk)] = now
    ident = request.headers.get("X-Postern-Access", "")
    access = AccessSession.objects.filter(pk=ident).first() if ident else None
    path = request.headers.get("X-Postern-Target", "").partition("?")[0][:300]
    event = AppUnreachable(
        id=str(app.pk), label=app.name, status=status, path=path, access_session_id=str(access.pk) if access else ""
    )
    with transaction.atomic():
        record(_origin_of(request, access) if access else request.origin, event)


def _origin_of(request: Request, access: AccessSession) -> Origin:
    return Origin(
        actor_kind="person",
        actor_id=str(access.user_id),
        actor_name=access.user_name,
        address=request.address,
        request_id=request.request_id,
        login_session_id=str(access.login_session_id),
    )


def _wants_html(request: HttpRequest) -> bool:
    return request.headers.get("X-Postern-Wants") == "html"
