"""Where a person is asked for their second factor again, so that what was denied for want of it goes on afterwards."""

from __future__ import annotations

from urllib.parse import quote

from broker.policy import Denial, Reason

CONFIRM = "/account/confirm"
PHISHING_RESISTANT = "phishing-resistant"
JUST_NOW = 10.0
"""Seconds. Who confirmed that lately and is denied still has given what does not help: they are told, not led round."""


def need_of(denial: Denial) -> str:
    """Which kind of second factor lifts a denial; empty for any."""
    return PHISHING_RESISTANT if denial.phishing_resistant else ""


def confirm_path(back: str, denial: Denial) -> str:
    """The page, on the broker's host, that asks for what lifts the denial and then leads to `back`, a page there."""
    need = need_of(denial)
    return f"{CONFIRM}?next={quote(back, safe='/')}" + (f"&need={need}" if need else "")


def launch_path(app_name: str, target: str = "/", state: str = "", *, asked: bool = False) -> str:
    """Where an app is opened at a path. `state` as `app_sessions.launch` takes it; `asked`: after being asked."""
    path = f"/launch/{app_name}?next={quote(target, safe='/')}"
    return path + (f"&state={quote(state, safe='')}" if state else "") + ("&asked=1" if asked else "")


def just_confirmed(mfa_at: float | None, at: float, denial: Denial) -> bool:
    """Whether the second factor given a moment ago is not enough, so that asking again would go round in circles.

    A spent confirmation is another matter: it did help, somebody else was quicker.
    """
    return mfa_at is not None and at - mfa_at < JUST_NOW and denial.reasons[0] is not Reason.MFA_SPENT
