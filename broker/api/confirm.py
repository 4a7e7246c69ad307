"""Giving the second factor again for the CLI's own login session: by a code, or in the person's browser."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import StringConstraints

from accounts.authenticators import recovery, second_factor
from accounts.models import LoginSession
from accounts.services import confirmations
from accounts.services.guessing import Wrong
from accounts.services.oidc_sign_in import confirming
from accounts.services.step_up import confirm_with_recovery_code, confirm_with_totp
from accounts.throttle import Door
from broker.api.caller import ApiRequest, Caller
from broker.api.schemas import Body, WaysToConfirm
from broker.errors import Invalid, Problem
from broker.policy import Denial
from broker.services.asking import PHISHING_RESISTANT, need_of

router = Router(tags=["mine"])
_TOTP = re.compile(r"[0-9]{3} ?[0-9]{3}")


class CodeBody(Body):
    """What the authenticator app shows, or a recovery code."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=100)]


class AskBody(Body):
    """What for, in words for the person; `need`: `phishing-resistant`, or nothing."""

    purpose: Annotated[str, StringConstraints(max_length=200)] = ""
    need: Literal["", "phishing-resistant"] = ""


class ConfirmedAnswer(Schema):
    """When the second factor was given, and how."""

    mfa_at: datetime
    amr: list[str]


class AskedAnswer(Schema):
    """What to open in a browser, and the number to compare there."""

    id: UUID
    url: str
    number: str
    expires_at: datetime


class StateAnswer(Schema):
    """`waiting`, `confirmed`, `refused` or `expired`."""

    id: UUID
    state: str


@router.get("confirm", response=WaysToConfirm, summary="How I can confirm that it is me")
def ways(request: ApiRequest) -> dict[str, Any]:
    """The same that a denial for want of a second factor tells."""
    return _ways(request.auth.session(), "")


@router.post("confirm", response=ConfirmedAnswer, summary="Give my second factor again, by a code")
def confirm(request: ApiRequest, body: CodeBody) -> dict[str, Any]:
    """For the caller's own login session. Wrong codes count against the account, wherever they are given."""
    session, origin = request.auth.session(), request.auth.origin
    door = Door(name=session.user.username, address=origin.address)
    prove = confirm_with_totp if _TOTP.fullmatch(body.code.strip()) else confirm_with_recovery_code
    try:
        prove(origin, door, session, body.code)
    except Wrong as error:
        raise Invalid(error.message, error.hint, [Problem(error.message, path="code")]) from None
    session.refresh_from_db()
    return {"mfa_at": session.mfa_at, "amr": session.amr}


@router.post("confirmations", response={201: AskedAnswer}, summary="Ask the person in their browser")
def ask(request: ApiRequest, body: AskBody) -> Status[dict[str, Any]]:
    """They see device, address and purpose, give a second factor, and type the number that the CLI shows."""
    asking = confirmations.ask(request.auth.origin, request.auth.session(), body.purpose)
    url = f"{settings.POSTERN.url}/confirm/{asking.pk}" + (f"?need={body.need}" if body.need else "")
    return Status(201, {"id": asking.pk, "url": url, "number": asking.number, "expires_at": asking.expires_at})


@router.get("confirmations/{uuid:ident}", response=StateAnswer, summary="Whether the person has answered")
def state(request: ApiRequest, ident: UUID) -> dict[str, Any]:
    """Only of what the caller's own login session asked."""
    asking = confirmations.asked_by(request.auth.session(), ident)
    return {"id": asking.pk, "state": confirmations.state_of(asking)}


def offer(request: HttpRequest, denial: Denial) -> dict[str, Any] | None:
    """How the caller can lift a denial by their second factor; None if that would not help."""
    caller = getattr(request, "auth", None)
    if not denial.confirmable or not isinstance(caller, Caller):
        return None
    return _ways(caller.session(), need_of(denial))


def _ways(session: LoginSession, need: str) -> dict[str, Any]:
    kinds = second_factor.kinds_of(session.user)
    methods: list[str] = [kind for kind in ("passkey", "totp") if kind in kinds]
    if confirming(session):
        methods.append("provider")
    if recovery.left(session.user):
        methods.append("recovery")
    if need == PHISHING_RESISTANT:
        methods = [method for method in methods if method in ("passkey", "provider")]
    return {"methods": methods, "need": need, "url": f"{settings.POSTERN.url}/api/v1/confirmations"}
