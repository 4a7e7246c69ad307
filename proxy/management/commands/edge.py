"""`manage.py edge`: nginx and the tunnel."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from broker.errors import PosternError


class Command(BaseCommand):
    """Runs nginx with a configuration that follows the apps, and the tunnel."""

    help = "Runs nginx, its configuration kept in step with the apps, and the tunnel."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve; one line and exit code 1 when that cannot be."""
        from proxy.web.edge import serve

        try:
            serve(settings.POSTERN)
        except PosternError as error:
            sys.exit(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))
