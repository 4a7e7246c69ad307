"""Processes that are copies of this one: everything is loaded already, so they start at once and share its memory.

This process must have no other thread: a copy has only the one that forked, and whatever the others held stays held.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping

from broker.supervise.deathsig import call_me, with_parent


def fork(
    name: str, call: Callable[[], object], output: int, environ: Mapping[str, str]
) -> tuple[int, Callable[[], int | None]]:
    """Run `call` in a copy of this process that writes to `output`; its id, and a function that knows its exit code."""
    if threading.active_count() > 1:
        raise RuntimeError("a process with threads must not be copied")
    sys.stdout.flush()
    sys.stderr.flush()
    die_with_us = with_parent()
    # Until the copy has let go of our handlers, a signal sent to it would be taken for one sent to us.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid, _poll_of(pid)
    code = 1
    try:
        _become_a_process_of_its_own(output, environ)
        die_with_us()
        call_me(f"postern-{name}")
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        call()
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        # Never back into the code that forked: its loop, its tasks and its lock are the supervisor's.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _become_a_process_of_its_own(output: int, environ: Mapping[str, str]) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a handle is wanted
        os.dup2(nothing.fileno(), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environ)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _poll_of(pid: int) -> Callable[[], int | None]:
    found: list[int] = []

    def poll() -> int | None:
        if not found:
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended, status = pid, 0
            if ended:
                found.append(os.waitstatus_to_exitcode(status))
        return found[0] if found else None

    return poll
