"""`manage.py worker`: Celery's worker and its beat in one process."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from celery.beat import EmbeddedService, Scheduler
from celery.platforms import SecurityWarning
from django.core.management.base import BaseCommand

from broker.celery import app

CONCURRENCY = 2
BEAT_LOOKS_EVERY = 5.0


class Command(BaseCommand):
    """Runs the housekeeping. Several may run: each task may be done twice without harm."""

    help = "Runs the housekeeping tasks (Celery's worker and beat)."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Until SIGTERM."""
        logging.getLogger("celery.beat").setLevel(logging.WARNING)
        # It warns root of messages that run code; ours are JSON.
        warnings.simplefilter("ignore", SecurityWarning)
        app.loader.import_default_modules()  # the beat reads the schedule once, as it is when it starts
        # The scheduler must be named: otherwise the embedded beat keeps a file of its own.
        beat = EmbeddedService(app, max_interval=BEAT_LOOKS_EVERY, thread=True, scheduler_cls=Scheduler)
        beat.start()
        worker = app.Worker(
            pool_cls="threads",
            concurrency=CONCURRENCY,
            loglevel="WARNING",
            quiet=True,
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        try:
            worker.start()
        finally:
            beat.stop()
