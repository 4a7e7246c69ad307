"""`manage.py setup`: the set-up alone, where something else than `manage.py up` starts the processes."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from broker.errors import PosternError
from broker.setup.steps import set_up
from broker.supervise.output import fail


class Command(BaseCommand):
    """Says what it made, and the first administrator's link."""

    help = "Makes what a new installation lacks: keys, tables, authorities, built-in roles, static files."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, or say in one line why not and end with 1."""
        try:
            for line in set_up(self.stderr.write):
                self.stdout.write(line)
        except PosternError as error:
            sys.exit(fail(error.message, error.hint))
