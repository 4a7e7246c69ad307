"""One process that the supervisor starts, forwards the lines of, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from broker.supervise.deathsig import with_parent
from broker.supervise.forked import fork
from broker.supervise.output import Output
from broker.supervise.ready import Question, at_once

STOP_GRACE = 10.0
_POLL = 0.2


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: another program (`argv`), or in a copy of this process a function (`call`), which starts faster.

    `stage` orders the stop: the highest ends first. A line that holds one of `noise` is not shown.
    The rest goes on without one that is not `essential` when it keeps ending.
    """

    name: str
    argv: tuple[str, ...] = ()
    call: Callable[[], object] | None = None
    ready: Question = at_once
    stage: int = 1
    environ: Mapping[str, str] = field(default_factory=dict)
    noise: tuple[str, ...] = ()
    essential: bool = True


class Child:
    """A running program, in a session of its own: Ctrl-C is for the supervisor, which stops the others in order."""

    def __init__(self, program: Program, output: Output) -> None:
        self.program = program
        reading, writing = os.pipe()
        try:
            self.pid, self._poll = _start(program, writing)
        finally:
            os.close(writing)
        self._lines = asyncio.create_task(_forward(program, output, reading))
        self._end = asyncio.create_task(self._wait_for_end())

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._poll() is not None

    async def _wait_for_end(self) -> int:
        """Its exit code, negative for a signal."""
        gone = asyncio.Event()
        handle = -1
        if hasattr(os, "pidfd_open"):  # Linux tells us; elsewhere we look
            with contextlib.suppress(OSError):
                handle = os.pidfd_open(self.pid)
                asyncio.get_running_loop().add_reader(handle, gone.set)
        try:
            while (code := self._poll()) is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(gone.wait(), None if handle >= 0 else _POLL)
            return code
        finally:
            if handle >= 0:
                asyncio.get_running_loop().remove_reader(handle)
                os.close(handle)

    async def wait(self) -> str:
        """Wait for its end; how it ended, in words."""
        code = await asyncio.shield(self._end)
        with contextlib.suppress(TimeoutError):  # a grandchild may hold the pipe open
            await asyncio.wait_for(asyncio.shield(self._lines), 1.0)
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """Ask it to end, wait, and end it and its whole group if it does not."""
        deadline = time.monotonic() + grace
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._end), deadline - time.monotonic())
        self.kill()
        await self.wait()
        self._lines.cancel()

    def kill(self) -> None:
        """End it now, with what it started in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _start(program: Program, output: int) -> tuple[int, Callable[[], int | None]]:
    """The process id, and a function that answers the exit code once it has ended."""
    if program.call is not None:
        return fork(program.name, program.call, output, program.environ)
    process = subprocess.Popen(
        program.argv,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **program.environ},
        start_new_session=True,
        preexec_fn=with_parent(),
    )
    return process.pid, process.poll


async def _forward(program: Program, output: Output, reading: int) -> None:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(reading, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        await output.forward(program.name, reader, program.noise)
    finally:
        transport.close()
