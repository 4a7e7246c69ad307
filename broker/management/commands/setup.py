"""`manage.py setup`: makes whatever a new installation lacks and leaves the rest alone. Every start runs it."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from broker.errors import PosternError
from broker.services.authorities import ensure_authorities
from broker.services.presets import ensure_builtin_roles
from broker.services.signing_keys import ensure_signing_key
from broker.services.signing_keys import ensure_signing_key
from broker.setup import administrator, keys, statics
from broker.supervise import directories
from broker.supervise.output import fail


class Command(BaseCommand):
    """Directories, keys, tables, authorities, built-in roles, static files, and the first administrator."""

    help = "Makes what a new installation lacks: keys, tables, authorities, built-in roles, static files."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """`--json` is for the supervisor, which shows the link when everything answers."""
        parser.add_argument("--json", action="store_true", help="answer in JSON on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, or say in one line why not and end with 1."""
        os.umask(0o077)
        logging.getLogger("broker.audit.wake").setLevel(logging.WARNING)  # nobody is awake yet, and that is no news
        try:
            lines = self._set_up()
        except PosternError as error:
            sys.exit(fail(error.message, error.hint))
        self.stdout.write(json.dumps({"lines": lines}) if options["json"] else "\n".join(lines))

    def _set_up(self) -> list[str]:
        env = settings.POSTERN
        directories.make_all(env)
        if keys.ensure(env):
            self._progress(f"made the keys in {env.keys_dir}: keep a copy of them")
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True, run_syncdb=True)
        if made := ensure_authorities():
            self._progress("made the " + " and the ".join(f"{one.kind} CA" for one in made))
        if ensure_signing_key():
            self._progress("made the key of identity assertions")
        ensure_builtin_roles()
        if statics.ensure():
            self._progress("collected the static files")
        return administrator.ensure()

    def _progress(self, text: str) -> None:
        self.stderr.write(text)
