"""One process that the supervisor starts, forwards the lines of, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.supervise.deathsig import with_parent
from broker.supervise.output import Output
from broker.supervise.ready import Question, at_once

STOP_GRACE = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `stage` orders the stop: the highest ends first. `inherits` are file handles it is given.

    A line that holds one of `noise` is not shown.
    """

    name: str
    argv: tuple[str, ...]
    ready: Question = at_once
    stage: int = 1
    environ: Mapping[str, str] = field(default_factory=dict)
    inherits: tuple[int, ...] = ()
    noise: tuple[str, ...] = ()


class Child:
    """A running program."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process, lines: asyncio.Task[None]) -> None:
        self.program = program
        self._process = process
        self._lines = lines

    @classmethod
    async def start(cls, program: Program, output: Output) -> Child:
        """Start it in its own process group: Ctrl-C is for the supervisor, which stops the others in order."""
        process = await asyncio.create_subprocess_exec(
            *program.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **program.environ},
            pass_fds=program.inherits,
            start_new_session=True,
            preexec_fn=with_parent(),
        )
        assert process.stdout is not None  # noqa: S101 - we asked for a pipe
        return cls(program, process, asyncio.create_task(output.forward(program.name, process.stdout, program.noise)))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process.returncode is not None

    async def wait(self) -> str:
        """Wait for its end; how it ended, in words."""
        code = await self._process.wait()
        with contextlib.suppress(TimeoutError):  # a grandchild may hold the pipe open
            await asyncio.wait_for(asyncio.shield(self._lines), 1.0)
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """Ask it to end, wait, and end it and its whole group if it does not."""
        if not self.ended:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace)
        self.kill()
        await self._process.wait()
        self._lines.cancel()

    def kill(self) -> None:
        """End it now, with what it started in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
