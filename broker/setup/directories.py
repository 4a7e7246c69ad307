"""The directories Postern keeps for itself: made 0700, owned by us, reached through no planted link."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from broker.environment import Environment
from broker.errors import PosternError


def make_private(path: Path) -> Path:
    """Make `path` (and its parents) if missing, for us alone. Raises `PosternError` if it cannot be ours."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat() if path.is_symlink() and _ours(path) else path.lstat()
    except OSError as error:
        raise PosternError(f"{path} cannot be used: {_words(error)}", "set POSTERN_DATA_DIR to a directory of yours")
    if not stat.S_ISDIR(status.st_mode):
        raise PosternError(f"{path} is not a directory", "set POSTERN_DATA_DIR to a directory of yours")
    if status.st_uid != os.geteuid():
        raise PosternError(f"{path} belongs to another user", f"chown it to the user with id {os.geteuid()}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        path.chmod(0o700)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PosternError(f"{path} is not writable", "set POSTERN_DATA_DIR to a directory of yours")
    return path


def _ours(path: Path) -> bool:
    return path.lstat().st_uid == os.geteuid()


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def make_all(env: Environment) -> None:
    """Every directory the processes need."""
    for path in (env.data_dir, env.run_dir, env.data_dir / "log"):
        make_private(path)
