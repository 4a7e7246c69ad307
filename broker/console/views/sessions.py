"""Access sessions (each use of one resource) and login sessions (each person signed in)."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from accounts import sessions
from accounts.requests import SignedInRequest
from broker.console import lists
from broker.console.changing import confirm_page, confirmed, counted, done, ends
from broker.console.desk import desk
from broker.console.entry import WRITE, console_page
from broker.console.queries import access
from broker.services.sessions import end_access_session, revoke_login_session

STATES = (("live", "live"), ("past", "past"))
PROTOCOLS = (("app", "web app"), ("ssh", "ssh"))
KINDS = (("browser", "browser"), ("cli", "command line"))


@console_page("session.list")
def access_list(request: SignedInRequest) -> HttpResponse:
    """Who uses what, now and before."""
    query = lists.asked(request, "state", "user", "resource", "protocol")
    sort = lists.sorting(request, access.USE_COLUMNS, "-started")
    found = access.uses(query["state"], query["user"], query["resource"], query["protocol"])
    page = lists.page_of(request, lists.order_by(found, access.USE_COLUMNS, sort))
    context = {
        "page": page,
        "rows": access.with_states(page),
        "query": query,
        "sort": sort,
        "states": STATES,
        "protocols": PROTOCOLS,
        "filtered": any(query.values()),
    }
    return render(request, "console/sessions/access_list.html", context)


@console_page("session.read")
def access_page(request: SignedInRequest, ident: UUID) -> HttpResponse:
    """One use of one resource: what allowed it, with which certificate, and what happened in it."""
    at = desk(request)
    row = access.with_states([access.use(ident)])[0]
    context = {
        "use": row,
        "certificate": access.certificate_of(row),
        "events": access.events_of_use(row) if at.may("event.list") else None,
        "login": access.login_of_use(row),
        "may_end": at.may("session.delete") and row.state == "live",  # type: ignore[attr-defined]
        "may_lock": at.may("lock.create"),
        "may_see_user": at.may("user.read"),
        "may_see_roles": at.may("role.read"),
        "may_see_resource": at.may(f"{'server' if row.protocol == 'ssh' else 'app'}.read"),
    }
    return render(request, "console/sessions/access_page.html", context)


@console_page("session.delete", WRITE)
def access_end(request: SignedInRequest, ident: UUID) -> HttpResponse:
    """Cut one use of an app. (A certificate cannot be called back: its login session is ended instead.)"""
    row = access.use(ident)
    back = reverse("console:session", kwargs={"ident": ident})
    if confirmed(request):
        end_access_session(request.origin, desk(request).subject, ident)
        messages.success(request, f"{row.user_name}'s session at {row.resource_name} was ended")
        return redirect(back)
    return confirm_page(
        request,
        title=f"End {row.user_name}'s session at {row.resource_name}?",
        text="They can open it again at once if their roles allow it. To keep them out, lock or disable the user.",
        label="End this session",
        back=back,
        costs=["ends 1 open session: requests are refused and open connections closed"],
    )


@console_page("session.list")
def login_list(request: SignedInRequest) -> HttpResponse:
    """Everybody who is signed in."""
    query = lists.asked(request, "q", "kind")
    sort = lists.sorting(request, access.LOGIN_COLUMNS, "-seen")
    found = access.logins(query["q"], query["kind"])
    page = lists.page_of(request, lists.order_by(found, access.LOGIN_COLUMNS, sort))
    context = {
        "page": page,
        "rows": access.told_with(page),
        "query": query,
        "sort": sort,
        "kinds": KINDS,
        "mine": request.login_session.pk,
        "may_end": desk(request).may("session.delete"),
        "may_see_user": desk(request).may("user.read"),
        "now": timezone.now(),
    }
    return render(request, "console/sessions/login_list.html", context)


@console_page("session.read")
def login_page(request: SignedInRequest, ident: UUID) -> HttpResponse:
    """One login session: how it began, where it was used, what hangs on it."""
    at = desk(request)
    login = access.told_with([access.any_login_session(ident)])[0]
    alive = sessions.live(timezone.now()).filter(pk=login.pk).exists()
    context = {
        "login": login,
        "state": "live" if alive else "ended",
        "ends_at": sessions.ends_at(login),
        "uses": access.with_states(access.uses_of_login(login)[:100]),
        "clis": sessions.live(timezone.now()).filter(parent=login),
        "moves": access.moves_of(login) if at.may("event.list") else [],
        "mine": request.login_session.pk,
        "may_end": at.may("session.delete") and alive,
        "may_see_user": at.may("user.read"),
    }
    return render(request, "console/sessions/login_page.html", context)


@console_page("session.delete", WRITE)
def login_end(request: SignedInRequest, ident: UUID) -> HttpResponse:
    """Sign somebody out of one browser or command line, and cut what hangs on it."""
    login = access.login_session(ident)
    back = reverse("console:login-sessions")
    name = login.user.username
    if confirmed(request):
        if ident == request.login_session.pk:
            back = "/sign-in"
        ended = revoke_login_session(request.origin, desk(request).subject, ident)
        messages.success(request, done(f"{name} is signed out there", ended))
        return redirect(back)
    hanging = access.hanging_on(login)
    where = login.device_name or login.get_kind_display().lower()
    return confirm_page(
        request,
        title=f"Sign {name} out of {where}?",
        text="They can sign in again. To keep them out, lock or disable the user.",
        label=f"Sign {name} out",
        back=back,
        costs=[f"{ends(1 + hanging)}, at once: the login session and {counted(hanging, 'access session')} under it"],
    )
