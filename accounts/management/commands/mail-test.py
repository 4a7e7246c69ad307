"""`manage.py mail-test ADDRESS`: one mail through the server that is set, to see whether it arrives."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.mail import MailFailed, send


class Command(BaseCommand):
    """Sends one mail, and says what the server made of it."""

    requires_system_checks: list[str] = []
    help = "send one mail through POSTERN_SMTP_URL, to try it"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom to send it to."""
        parser.add_argument("address")

    def handle(self, *args: Any, address: str, **options: Any) -> None:
        """One mail, at once."""
        text = f"This is a test from {settings.POSTERN.name} at {settings.POSTERN.url}. Nothing happened.\n"
        try:
            send(address, f"{settings.POSTERN.name}: a test", text)
        except MailFailed as error:
            raise CommandError(f"{error.message}\nhint: {error.hint}" if error.hint else error.message) from None
        self.stdout.write(f"handed in for {address}; look whether it arrives")
