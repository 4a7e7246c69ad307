"""What administrators do to users. Whatever cuts something asks first and names it."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.authenticators import second_factor
from accounts.models import User
from accounts.requests import SignedInRequest
from accounts.services.factor_resets import pending
from broker.console import forms
from broker.console.changing import confirm_page, confirmed, done, ends
from broker.console.desk import desk
from broker.console.entry import WRITE, console_page
from broker.console.links import user_url
from broker.console.queries import access, users
from broker.console.templatetags.postern import duration
from broker.services.documents import delete_document
from broker.services.factor_resets import approve_reset, cancel_reset, reset_mfa
from broker.services.users import disable_user, enable_user, invite_user


@console_page("user.update", ("POST",))
def user_invite(request: SignedInRequest, name: str) -> HttpResponse:
    """A new link by which the user comes in; shown once. Earlier ones die."""
    user = users.user_named(name)
    link = invite_user(request.origin, desk(request).subject, user.username)
    return render(request, "console/users/link.html", {"name": user.username, "link": link, "why": "invited"})


@console_page("user.update", WRITE)
def user_disable(request: SignedInRequest, name: str) -> HttpResponse:
    """Nobody may be this user any more, at once."""
    user = users.user_named(name)
    subject = desk(request).subject
    if confirmed(request):
        ended = disable_user(request.origin, subject, user.username, request.POST.get("reason", "").strip())
        messages.success(request, done(f"{user.username} is disabled", ended))
        return redirect(user_url(user.username))
    cost = disable_user(request.origin, subject, user.username, dry_run=True)
    return confirm_page(
        request,
        title=f"Disable {user.username}?",
        label=f"Disable {user.username}",
        back=user_url(user.username),
        costs=[f"{ends(cost)}, at once and everywhere", "kills links that let them in", "they cannot sign in"],
        text="You can enable them again; roles and groups stay as they are.",
        form=forms.ReasonForm(),
    )


@console_page("user.update", ("POST",))
def user_enable(request: SignedInRequest, name: str) -> HttpResponse:
    """Let a disabled user sign in again."""
    user = users.user_named(name)
    enable_user(request.origin, desk(request).subject, user.username)
    messages.success(request, f"{user.username} may sign in again, with the password and second factor they had")
    return redirect(user_url(user.username))


@console_page("user.update", WRITE)
def user_reset_factor(request: SignedInRequest, name: str) -> HttpResponse:
    """Ask for a reset of the second factor; the link that follows lets the user enrol anew once it took effect."""
    user = users.user_named(name)
    if confirmed(request):
        reset = reset_mfa(request.origin, desk(request).subject, user.username)
        context = {"name": user.username, "link": reset.link, "why": "reset", "waits_until": reset.waits_until}
        return render(request, "console/users/link.html", context)
    waits = settings.POSTERN.reset_delay > 0 and second_factor.has_any(user)
    text = "Make sure that it is them who asks: whoever has the link and the password becomes this user."
    if waits:
        after = duration(settings.POSTERN.reset_delay)
        text += (
            f" It takes effect when another administrator approves it, or after {after}. They are told at once and can"
            " refuse it. Was something stolen? Then sign them out or lock them too: that works at once."
        )
    return confirm_page(
        request,
        title=f"Reset the second factor of {user.username}?",
        text=text,
        label="Ask for the reset" if waits else "Reset the second factor",
        back=user_url(user.username),
        costs=_costs_of_reset(user),
    )


@console_page("user.update", WRITE)
def user_reset_approve(request: SignedInRequest, name: str) -> HttpResponse:
    """The second administrator's yes: the reset takes effect."""
    user = users.user_named(name)
    waiting = pending(user)
    if waiting is None:
        return _no_reset(request, user)
    if confirmed(request):
        ended = approve_reset(request.origin, desk(request).subject, user.username)
        messages.success(request, done(f"the second factor of {user.username} is forgotten", ended))
        return redirect(user_url(user.username))
    return confirm_page(
        request,
        title=f"Approve the reset of {user.username}'s second factor?",
        text=f"{waiting.asked_by} asked for it. Ask {user.username} yourself, in a way that only they can answer.",
        label="Approve the reset",
        back=user_url(user.username),
        costs=_costs_of_reset(user),
    )


@console_page("user.update", WRITE)
def user_reset_cancel(request: SignedInRequest, name: str) -> HttpResponse:
    """Take a reset back that has not taken effect."""
    user = users.user_named(name)
    if pending(user) is None:
        return _no_reset(request, user)
    if confirmed(request):
        cancel_reset(request.origin, desk(request).subject, user.username)
        messages.success(request, f"the reset is taken back; {user.username} keeps the second factor")
        return redirect(user_url(user.username))
    return confirm_page(
        request,
        title=f"Take back the reset of {user.username}'s second factor?",
        label="Take it back",
        back=user_url(user.username),
        costs=["its link is dead; nothing else changes"],
    )


def _costs_of_reset(user: User) -> list[str]:
    open_now = len(access.live_logins(user))
    return [
        f"{ends(open_now)} and what was opened from there",
        "their passkeys, authenticator app and recovery codes stop working",
    ]


def _no_reset(request: SignedInRequest, user: User) -> HttpResponse:
    messages.info(request, f"no reset of {user.username} is waiting any more")
    return redirect(user_url(user.username))


@console_page("user.delete", WRITE)
def user_delete(request: SignedInRequest, name: str) -> HttpResponse:
    """Remove a user for good; the log keeps their name."""
    user = users.user_named(name)
    subject = desk(request).subject
    if confirmed(request):
        outcome = delete_document(request.origin, subject, "user", user.username)
        messages.success(request, done(f"{user.username} was deleted", outcome.ends_sessions))
        return redirect(reverse("console:users"))
    outcome = delete_document(request.origin, subject, "user", user.username, dry_run=True)
    return confirm_page(
        request,
        title=f"Delete {user.username}?",
        text="This cannot be undone. To keep somebody out for a while, disable them instead.",
        label=f"Delete {user.username}",
        back=user_url(user.username),
        costs=[ends(outcome.ends_sessions), "removes their roles, groups, password and second factor"],
        arm=3,
    )
