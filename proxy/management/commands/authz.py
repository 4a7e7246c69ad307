"""`manage.py authz`: the decision service; with POSTERN_AUTHZ_WORKERS above 1, several."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from broker.environment import BASE_DIR
from broker.errors import PosternError
from broker.supervise.deathsig import with_parent


class Command(BaseCommand):
    """Answers nginx's question about every request."""

    help = "Runs the decision service that nginx asks about every request."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """`--number` is how further workers are started."""
        parser.add_argument("--number", type=int, default=0, help="which of the workers this is")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve; the first worker starts the others and ends them."""
        from proxy.web.authz_server import serve, socket_of

        env, number = settings.POSTERN, int(options["number"])
        others = [] if number else [_start(other) for other in range(1, env.authz_workers)]
        try:
            serve(env, socket_of(env, number))
        except PosternError as error:
            sys.exit(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))
        finally:
            for other in others:
                other.send_signal(signal.SIGTERM)
            for other in others:
                other.wait()


def _start(number: int) -> subprocess.Popen[bytes]:
    argv = [sys.executable, str(BASE_DIR / "manage.py"), "authz", "--number", str(number)]
    return subprocess.Popen(argv, preexec_fn=with_parent())
