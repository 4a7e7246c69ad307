"""The set-up: makes whatever a new installation lacks and leaves the rest alone. Every start goes through it."""

from __future__ import annotations

import os
from collections.abc import Callable

from django.conf import settings
from django.core.management import call_command

from broker.audit import wake
from broker.services.authorities import ensure_authorities
from broker.services.presets import ensure_builtin_roles
from broker.services.signing_keys import ensure_signing_key
from broker.setup import administrator, directories, keys, statics


@wake.unheard()
def set_up(progress: Callable[[str], object]) -> list[str]:
    """Do it; what is to be told to a person afterwards. Raises `PosternError`. `progress` hears of each thing made."""
    os.umask(0o077)
    env = settings.POSTERN
    directories.make_all(env)
    if keys.ensure(env):
        progress(f"made the keys in {env.keys_dir}: keep a copy of them")
    call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
    if made := ensure_authorities():
        progress("made the " + " and the ".join(f"{one.kind} CA" for one in made))
    if ensure_signing_key():
        progress("made the key of identity assertions")
    ensure_builtin_roles()
    if statics.ensure():
        progress("collected the static files")
    return administrator.ensure()
