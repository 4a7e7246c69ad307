"""My account: who I am here, how I sign in, and where I am signed in."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts import cookies, sessions
from accounts.authenticators import recovery, totp
from accounts.guards import signed_in
from accounts.models import LoginSession, Membership
from accounts.requests import SignedInRequest
from accounts.services.login_sessions import revoke_login_session, sign_out_everywhere


@require_safe
@signed_in
def account(request: SignedInRequest) -> HttpResponse:
    """The page itself."""
    user = request.user
    context = {
        "user": user,
        "groups": sorted(set(Membership.objects.filter(user=user).values_list("group__name", flat=True))),
        "traits": sorted(user.traits.items()),
        "totp": totp.device_of(user),
        "codes_left": recovery.left(user),
        "sessions": _sessions(request),
    }
    return render(request, "accounts/account.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def end_session(request: SignedInRequest, session_id: UUID) -> HttpResponse:
    """End one of my sessions, once asked what that means."""
    found = next((session for session in _sessions(request) if session.pk == session_id), None)
    if request.method != "POST":
        if found is None:
            messages.info(request, "That session has ended already.")
            return redirect("/account")
        return render(request, "accounts/end_session.html", {"session": found})
    ended = revoke_login_session(request.origin, request.user, session_id)
    if ended.pk == request.login_session.pk:
        return _signed_out("You are signed out.", request)
    messages.success(request, f"{ended.device_name or 'The session'} is signed out.")
    return redirect("/account")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def everywhere(request: SignedInRequest) -> HttpResponse:
    """End all my sessions, or all but this one (`keep`)."""
    if request.method != "POST":
        return render(request, "accounts/sign_out_everywhere.html", {"sessions": _sessions(request)})
    keep = request.login_session if "keep" in request.POST else None
    count = sign_out_everywhere(request.origin, request.user, keep)
    if keep is None:
        return _signed_out("You are signed out everywhere.", request)
    messages.success(request, "No other session was open." if not count else f"Signed out of {count} other sessions.")
    return redirect("/account")


def _sessions(request: SignedInRequest) -> list[LoginSession]:
    """My live sessions, this one first, each saying when it ends and whether it is this one."""
    found = list(sessions.live(timezone.now()).filter(user=request.user).order_by("-last_seen_at"))
    for session in found:
        session.current = session.pk == request.login_session.pk  # type: ignore[attr-defined]
        session.ends_at = sessions.ends_at(session)  # type: ignore[attr-defined]
    return sorted(found, key=lambda session: session.pk != request.login_session.pk)


def _signed_out(text: str, request: SignedInRequest) -> HttpResponse:
    messages.success(request, text)
    response = redirect("/sign-in")
    cookies.drop(response, cookies.SESSION)
    return response
