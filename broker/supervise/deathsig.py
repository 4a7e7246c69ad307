"""Children that end when their parent does, even when it is killed (Linux; elsewhere nothing happens)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def with_parent(number: int = signal.SIGKILL) -> Callable[[], None]:
    """For `preexec_fn`: the child gets signal `number` when the thread that starts it ends; use the main one."""
    parent = os.getpid()

    def ask() -> None:
        if _libc is None:
            return
        _libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before we asked
            os._exit(1)

    return ask


def call_me(name: str) -> None:
    """Show this process under `name` (its first 15 characters) in `ps`, `top` and the kernel's log."""
    if _libc is not None:
        _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)
