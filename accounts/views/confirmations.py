"""The page on which a person confirms what a CLI of theirs asked for."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from accounts.guards import signed_in
from accounts.models import Confirmation
from accounts.requests import SignedInRequest
from accounts.services import confirmations as service
from broker.errors import Conflict

PAGE = "accounts/confirmation.html"
OVER = "accounts/confirmation_over.html"
PHISHING_RESISTANT = "phishing-resistant"
OUTCOMES = {
    "confirmed": ("Confirmed", "Go back to the terminal: it goes on by itself. You can close this tab."),
    "refused": (
        "Refused",
        "The terminal was told no. If somebody else asked, sign out everywhere, in your account.",
    ),
    "expired": ("Too late", "It waited five minutes. Run the command again if you still want it."),
    "wrong": ("The number was another", "So nothing was confirmed. Run the command again, and compare what it shows."),
}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def confirmation(request: SignedInRequest, ident: UUID) -> HttpResponse:
    """Show who asks what; take a second factor, the number that the terminal shows, and a yes or no."""
    asking = service.asked_of(request.user, ident)
    if request.method == "POST":
        return _answer(request, asking)
    state = service.state_of(asking)
    return _page(request, asking) if state == "waiting" else _over(request, state)


def _answer(request: SignedInRequest, asking: Confirmation) -> HttpResponse:
    try:
        if request.POST.get("answer") != "yes":
            service.refuse(request.origin, request.user, asking.pk)
            return _over(request, "refused")
        number = request.POST.get("number", "")
        if not (number.strip().isdecimal() and len(number) < 10):
            return _page(request, asking, "type the number that the terminal shows", 422)
        if not service.is_proved(asking, request.login_session):
            return _page(request, asking, "give your second factor first", 422)
        right = service.answer(request.origin, request.login_session, asking.pk, number)
    except Conflict as error:
        asking.refresh_from_db()
        state = service.state_of(asking)
        return _page(request, asking, error.message, 409) if state == "waiting" else _over(request, state)
    return _over(request, "confirmed" if right else "wrong")


def _page(request: SignedInRequest, asking: Confirmation, problem: str = "", status: int = 200) -> HttpResponse:
    need = PHISHING_RESISTANT if request.GET.get("need") == PHISHING_RESISTANT else ""
    own = f"/confirm/{asking.pk}" + (f"?need={need}" if need else "")
    context: dict[str, Any] = {
        "asking": asking,
        "device_name": asking.login_session.device_name or "unknown",
        "proved": service.is_proved(asking, request.login_session),
        "prove_url": f"/account/confirm?next={quote(own, safe='/')}" + (f"&need={need}" if need else ""),
        "problem": problem,
    }
    return render(request, PAGE, context, status=status)


def _over(request: SignedInRequest, outcome: str) -> HttpResponse:
    title, text = OUTCOMES[outcome]
    return render(request, OVER, {"title": title, "text": text, "good": outcome == "confirmed"})
