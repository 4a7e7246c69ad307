"""A person at a terminal: a program with a terminal of its own, what it says, and what is typed into it."""

from __future__ import annotations

import errno
import os
import pty
import re
import select
import signal
import time
from collections.abc import Mapping, Sequence
from types import TracebackType


class Typist:
    """`with Typist(command, env) as typist: typist.sees("code"); typist.types("123456"); typist.ends()`."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.shown = ""
        self._seen = 0
        self._status: int | None = None
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execvpe(command[0], list(command), dict(env))

    def sees(self, pattern: str, within: float = 60.0) -> re.Match[str]:
        """Wait for what comes after what was seen before."""
        deadline = time.monotonic() + within
        while (found := re.search(pattern, self.shown[self._seen :])) is None:
            assert self._read(deadline - time.monotonic()), f"no {pattern!r} in {self.shown!r}"
        self._seen += found.end()
        return found

    def types(self, text: str) -> None:
        """A line."""
        os.write(self._fd, text.encode() + b"\n")

    def ends(self, within: float = 60.0) -> int:
        """Wait for the end; the exit code."""
        deadline = time.monotonic() + within
        while self._read(deadline - time.monotonic()):
            pass
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._status

    def _read(self, left: float) -> bool:
        """More of what the program says; False at its end or when the time is over."""
        if not select.select([self._fd], [], [], max(0.0, left))[0]:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # how Linux says that nobody is at the other end
                raise
            return False
        self.shown += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)

    def __enter__(self) -> Typist:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)
