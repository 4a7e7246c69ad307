"""The way in for the first administrator: a one-time link, told once."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from accounts.models import Invite, User
from accounts.services.invites import Link, invite_user
from accounts.services.users import create_user
from broker.audit.origin import system
from broker.services.administrators import administrators
from broker.services.bindings import bind_role
from broker.services.presets import ADMINISTRATOR

USERNAME = "admin"
AGAIN = f".venv/bin/python manage.py invite {USERNAME} --administrator"


def ensure() -> list[str]:
    """The lines that tell how the first administrator gets in; none while there is one who can."""
    if link := _first():
        once = f"the link works once, until {link.expires_at:%H:%M} UTC, and is not shown again"
        return [f"first administrator: open {link.url}", f"  you become the user {USERNAME}; {once}"]
    there_are = administrators()
    if there_are.able:
        return []
    invites = Invite.objects.filter(user__username__in=there_are.all, used_at=None, expires_at__gt=timezone.now())
    open_link = invites.order_by("-expires_at").first()
    if open_link:
        return [
            f"no administrator has come in yet; the link printed before works until {open_link.expires_at:%H:%M} UTC"
        ]
    return [f"no administrator has come in yet, and the link has expired; print a new one: {AGAIN}"]


@transaction.atomic
def _first() -> Link | None:
    if User.objects.exists():
        return None
    origin = system("setup")
    user = create_user(origin, USERNAME)
    bind_role(origin, ADMINISTRATOR, user=user, reason="the first administrator")
    return invite_user(origin, user)
