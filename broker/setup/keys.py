"""The secrets outside the database: made for a new installation only, never beside data that was there before."""

from __future__ import annotations

import contextlib
import os
import secrets

from django.conf import settings
from django.db import DatabaseError, connection

from broker import keystore
from broker.environment import Environment
from broker.errors import PosternError
from broker.setup.directories import make_private

SECRET_KEY_BYTES = 48
_RESTORE = "restore the keys directory from your backup; new keys could not read what is sealed"


def ensure(env: Environment) -> bool:
    """Make what a new installation lacks; True. Raises `PosternError` if there is data without its keys."""
    missing = [name for name in ("secret_key", keystore.RING_FILE) if not os.path.lexists(env.keys_dir / name)]
    if missing and has_data():
        raise PosternError(f"there is data, but {env.keys_dir / missing[0]} is missing", _RESTORE)
    make_private(env.keys_dir)
    if "secret_key" in missing:
        _write_secret_key(env)
    if keystore.RING_FILE in missing:
        keystore.create(env.keys_dir)
    keystore.load(env.keys_dir)  # says so now if it is damaged or open to others
    settings.SECRET_KEY = _read_secret_key(env)
    return bool(missing)


def has_data() -> bool:
    """Whether the database was ever set up. Raises `PosternError` when it does not answer."""
    try:
        with connection.cursor() as cursor:
            if "django_migrations" not in connection.introspection.table_names(cursor):
                return False
            cursor.execute("SELECT COUNT(*) FROM django_migrations")
            row = cursor.fetchone()
            return bool(row and row[0])
    except DatabaseError as error:
        raise PosternError(f"the database does not answer: {_first_line(error)}", "see POSTERN_DATABASE_URL")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _write_secret_key(env: Environment) -> None:
    path = env.keys_dir / "secret_key"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(FileExistsError), os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(SECRET_KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _read_secret_key(env: Environment) -> str:
    path = env.keys_dir / "secret_key"
    try:
        key = path.read_text().strip()
    except OSError as error:
        raise PosternError(f"{path} cannot be read: {(error.strerror or '').lower()}", _RESTORE)
    if len(key) < 40:
        raise PosternError(f"{path} is empty or too short", _RESTORE)
    if path.stat().st_mode & 0o077:
        raise PosternError(f"{path} is open to other users", f"chmod 0600 {path}")
    return key
