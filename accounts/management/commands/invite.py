"""`manage.py invite NAME`: a one-time link, for the first administrator and for the day when everybody is locked out.

Whoever may run this owns the machine and the database, so it asks for no sign-in; the audit log tells of it.
"""

from __future__ import annotations

import contextlib
import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import User
from accounts.services.invites import Link, invite_user, reset_factors
from accounts.services.users import create_user, enable_user
from broker.audit.origin import Origin, system
from broker.errors import PosternError


class Command(BaseCommand):
    """Prints a link by which NAME sets a password and a second factor. Makes the user if there is none."""

    help = "print a one-time link by which a user sets a password and an authenticator app"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """NAME and what to do besides."""
        parser.add_argument("name")
        parser.add_argument("--administrator", action="store_true", help="bind the role administrator to the user")
        parser.add_argument(
            "--reset", action="store_true", help="forget the authenticator app, end all sessions, enable if disabled"
        )

    def handle(self, *args: Any, name: str, administrator: bool, reset: bool, **options: Any) -> None:
        """All or nothing, in one transaction."""
        origin = system("manage.py invite")
        try:
            with transaction.atomic():
                link = _invite(origin, name, administrator=administrator, reset=reset)
        except PosternError as error:
            raise CommandError(f"{error.message}\nhint: {error.hint}" if error.hint else error.message) from None
        self.stdout.write(_as_started(link.url))
        self.stderr.write(f"the link works once, until {link.expires_at:%H:%M} UTC, and is not shown again")


def _as_started(url: str) -> str:
    """`url` at the address of what was last started here, which may have been given a `--port`."""
    if os.environ.get("POSTERN_URL"):
        return url
    with contextlib.suppress(OSError):
        address = (settings.POSTERN.data_dir / "up.lock").read_text().partition("\n")[2].strip()
        return url.replace(settings.POSTERN.url, address, 1) if address else url
    return url


def _invite(origin: Origin, name: str, *, administrator: bool, reset: bool) -> Link:
    user = User.objects.by_name(name) or create_user(origin, name)
    if reset:
        enable_user(origin, user)
        reset_factors(origin, user)
    if administrator:
        from broker.services.bindings import bind_role

        bind_role(origin, "administrator", user=user, reason="manage.py invite --administrator")
    return invite_user(origin, user)
