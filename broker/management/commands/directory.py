"""`manage.py directory`: follows the directories that people come from."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

from django.core.management.base import BaseCommand

from broker.errors import PosternError


class Command(BaseCommand):
    """Who leaves a group or the directory is out the moment the directory tells it."""

    help = "Follows the directories (LDAP) that people come from; wants the extra `ldap`."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Until SIGTERM."""
        from accounts.directory import extra
        from broker.directory_process import DirectoryProcess

        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        try:
            extra.require()
            DirectoryProcess().run(stopping)
        except PosternError as error:
            sys.exit(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))
