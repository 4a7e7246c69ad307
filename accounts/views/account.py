"""My account: who I am here, how I sign in, what I have open, and what I was told."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import cookies
from accounts.authenticators import recovery, totp
from accounts.guards import freshly_confirmed, signed_in
from accounts.models import Connector, Identity, Membership, Notice, Passkey
from accounts.notice_words import plain, words_of
from accounts.requests import SignedInRequest
from accounts.services import factor_resets, notices
from accounts.services.login_sessions import revoke_login_session, sign_out_everywhere
from accounts.services.unlinking import may_unlink, unlink
from broker.errors import PosternError
from broker.services.my_sessions import (
    MySession,
    MyUse,
    connector_names,
    end_my_use,
    flat,
    list_my_sessions,
)

LATEST = 3
KINDS = {"oidc": "OpenID Provider", "ldap": "directory", "scim": "keeps this account"}


@require_safe
@signed_in
def account(request: SignedInRequest) -> HttpResponse:
    """The page itself."""
    user = request.user
    identities, links = _identities(request)
    context = {
        "user": user,
        "groups": sorted(set(Membership.objects.filter(user=user).values_list("group__name", flat=True))),
        "traits": sorted(user.traits.items()),
        "has_password": user.has_usable_password(),
        "passkeys": Passkey.objects.filter(user=user, confirmed=True).count(),
        "totp": totp.device_of(user),
        "codes_left": recovery.left(user),
        "sessions": list_my_sessions(user, request.login_session),
        "identities": identities,
        "links": links,
        "reset": factor_resets.pending(user),
        "notices": [_told(row) for row in notices.notices_of(user) if row.seen_at is None][:LATEST],
        "unseen": notices.unseen(user),
    }
    return render(request, "accounts/account.html", context)


@require_safe
@signed_in
def notice_list(request: SignedInRequest) -> HttpResponse:
    """What I was told, unseen first."""
    told = [_told(row) for row in notices.notices_of(request.user)]
    context = {"notices": told, "unseen": notices.unseen(request.user), "reset": factor_resets.pending(request.user)}
    return render(request, "accounts/notices.html", context)


@require_POST
@signed_in
def notices_seen(request: SignedInRequest) -> HttpResponse:
    """I have seen them all."""
    notices.mark_seen(request.user)
    return redirect("/account/notices")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def refuse_reset(request: SignedInRequest) -> HttpResponse:
    """I did not want my second factor reset."""
    waiting = factor_resets.pending(request.user)
    if waiting is None:
        messages.info(request, "No reset is waiting any more.")
        return redirect("/account")
    if request.method != "POST":
        return render(request, "accounts/notices_refuse.html", {"reset": waiting})
    factor_resets.refuse(request.origin, request.user)
    messages.success(request, "The reset is refused. Your second factors stay; tell an administrator if nobody asked.")
    return redirect("/account")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def end_session(request: SignedInRequest, session_id: UUID) -> HttpResponse:
    """End one of my sessions, once asked what that means."""
    if request.method != "POST":
        found = next((one for one in _flat(request) if one.id == session_id), None)
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
def end_use(request: SignedInRequest, use_id: UUID) -> HttpResponse:
    """End one use of one app, once asked."""
    if request.method == "POST":
        name = end_my_use(request.origin, request.user, use_id)
        messages.success(request, f"The session at {name} is ended.")
        return redirect("/account")
    session, use = _use(request, use_id)
    if use is None or not use.may_end:
        over = "That session has ended already."
        messages.info(request, over if use is None else "A certificate runs out by itself.")
        return redirect("/account")
    return render(request, "accounts/end_session.html", {"session": session, "use": use})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def everywhere(request: SignedInRequest) -> HttpResponse:
    """End all my sessions, or all but this one (`keep`)."""
    if request.method != "POST":
        found = _flat(request)
        others = [one for one in found if not one.current]
        context = {
            "sessions": found,
            "others": others,
            "cuts": sum(one.cuts for one in found),
            "cuts_others": sum(one.cuts for one in others),
        }
        return render(request, "accounts/sign_out_everywhere.html", context)
    keep = request.login_session if "keep" in request.POST else None
    count = sign_out_everywhere(request.origin, request.user, keep)
    if keep is None:
        return _signed_out("You are signed out everywhere.", request)
    messages.success(request, "No other session was open." if not count else f"Signed out of {count} other sessions.")
    return redirect("/account")


@require_http_methods(["GET", "HEAD", "POST"])
@freshly_confirmed
def unlink_identity(request: SignedInRequest, identity_id: UUID) -> HttpResponse:
    """Take an account at a provider or directory off mine, once asked."""
    found = next((one for one in _identities(request)[0] if one["id"] == identity_id), None)
    if found is None or not found["may_unlink"]:
        messages.info(request, "That connection is gone, or the only way you can sign in.")
        return redirect("/account")
    if request.method != "POST":
        via = [one for one in _flat(request) if one.via == found["source"] and not one.current]
        context = {"identity": found, "sessions": via, "cuts": sum(one.cuts for one in via)}
        return render(request, "accounts/unlink_identity.html", context)
    try:
        unlink(request.origin, request.user, identity_id, keep=request.login_session)
    except PosternError as error:
        messages.error(request, f"{error.message}: {error.hint}")
    else:
        messages.success(request, f"You can no longer sign in by {found['name']}.")
    return redirect("/account")


def _flat(request: SignedInRequest) -> list[MySession]:
    return flat(list_my_sessions(request.user, request.login_session))


def _use(request: SignedInRequest, use_id: UUID) -> tuple[MySession | None, MyUse | None]:
    pairs = ((session, use) for session in _flat(request) for use in session.uses)
    return next(((session, use) for session, use in pairs if use.id == use_id), (None, None))


def _identities(request: SignedInRequest) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """My accounts elsewhere, and the providers that I could connect with."""
    names = connector_names()
    rows = list(Identity.objects.filter(user=request.user).select_related("connector").order_by("created_at"))
    mine = [
        {
            "id": row.pk,
            "source": row.connector.source,
            "kind": KINDS.get(row.connector.kind, ""),
            "name": names.get(row.connector.source, row.connector.name),
            "since": row.created_at,
            "seen": row.last_seen_at,
            "may_unlink": may_unlink(request.user, row),
        }
        for row in rows
    ]
    linked = {row.connector_id for row in rows}
    others = Connector.objects.filter(kind=Connector.Kind.OIDC, enabled=True).exclude(pk__in=linked)
    return mine, [{"slug": row.name, "name": names.get(row.source, row.name)} for row in others]


def _told(row: Notice) -> dict[str, Any]:
    return {
        "words": words_of(row.kind, row.data),
        "at": row.created_at,
        "address": row.address,
        "by": plain(str(row.data.get("by", ""))),
        "seen": row.seen_at is not None,
    }


def _signed_out(text: str, request: SignedInRequest) -> HttpResponse:
    messages.success(request, text)
    response = redirect("/sign-in")
    cookies.drop(response, cookies.SESSION)
    return response
