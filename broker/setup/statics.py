"""The files browsers fetch: collected into the data directory, where nginx serves them, when they have changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

# What packages bring along and no page uses; some of it cannot even be given a hashed name.
UNUSED = ["django_htmx/ext*", "django_otp*"]


def ensure() -> bool:
    """Collect them if they are not the ones collected last; True if they were."""
    root = Path(settings.STATIC_ROOT)
    stamp, state = root / ".stamp", _state()
    if stamp.is_file() and stamp.read_text() == state:
        return False
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=UNUSED)
    stamp.write_text(state)
    return True


def _state() -> str:
    """A digest of every file's name, size and time, and of how names are made."""
    digest = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for finder in get_finders():
        for name, storage in sorted(finder.list(UNUSED), key=lambda item: item[0]):
            status = Path(storage.path(name)).stat()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
