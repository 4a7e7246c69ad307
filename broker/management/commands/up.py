"""`manage.py up`: the whole product on one machine."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand

from broker.environment import BASE_DIR


class Command(BaseCommand):
    """Becomes the supervisor, which loads no Django and so stays small."""

    help = "Starts every process of Postern and watches them; `manage.py up --help` lists the options."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Hand the rest of the command line on as it is."""
        os.chdir(BASE_DIR)
        os.execv(sys.executable, [sys.executable, "-m", "broker.supervise", *argv[2:]])  # noqa: S606 - no shell is wanted

    def handle(self, *args: Any, **options: Any) -> None:
        """Never reached from the command line; `call_command` must not replace its own process."""
        raise NotImplementedError("start it as a process: manage.py up")
