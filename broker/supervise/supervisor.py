"""Starts the processes, waits until they work, starts the crashed again, and ends all of them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable

from broker.errors import PosternError
from broker.supervise.child import Child, Program
from broker.supervise.output import Output

READY_WITHIN = 90.0
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0
CRASHES, CRASH_WINDOW = 10, 600.0
_POLL = 0.05


class Supervisor:
    """Keeps `Program`s running. Use `start`, then `run` until `stopping` is set, then `stop`."""

    def __init__(self, output: Output) -> None:
        self.stopping = asyncio.Event()
        self.failure: PosternError | None = None
        self._output = output
        self._children: dict[str, Child] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}

    async def start(self, programs: Iterable[Program]) -> None:
        """Start them and wait until each is ready. Raises `PosternError` if one ends or takes too long."""
        wanted = list(programs)
        for program in wanted:
            self._children[program.name] = Child(program, self._output)
        async with asyncio.TaskGroup() as group:
            for program in wanted:
                group.create_task(self._until_ready(program))
        for program in wanted:
            self._watchers[program.name] = asyncio.create_task(self._watch(program))

    async def _until_ready(self, program: Program) -> None:
        child = self._children[program.name]
        deadline = time.monotonic() + READY_WITHIN
        while not await program.ready():
            if child.ended:
                raise PosternError(f"{program.name} {await child.wait()} before it was ready", "its lines are above")
            if time.monotonic() > deadline:
                raise PosternError(f"{program.name} was not ready within {READY_WITHIN:.0f} s", "its lines are above")
            await asyncio.sleep(_POLL)

    async def _watch(self, program: Program) -> None:
        """Start the program again when it ends by itself; give up on all when it keeps doing so."""
        crashes: deque[float] = deque(maxlen=CRASHES)
        while True:
            child = self._children[program.name]
            how = await child.wait()
            if self.stopping.is_set():
                return
            child.kill()
            crashes.append(time.monotonic())
            if len(crashes) == CRASHES and crashes[-1] - crashes[0] < CRASH_WINDOW:
                if not program.essential:
                    self._output.line("up", f"{program.name} keeps ending: the rest goes on without it")
                    return
                self.failure = PosternError(f"{program.name} keeps ending: it {how}", "its lines are above")
                self.stopping.set()
                return
            recent = sum(1 for at in crashes if crashes[-1] - at < 60)
            pause = min(FIRST_PAUSE * 2 ** (recent - 1), LONGEST_PAUSE)
            self._output.line("up", f"{program.name} {how}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            self._children[program.name] = Child(program, self._output)

    def pids(self) -> dict[str, int]:
        """The process ids by name."""
        return {name: child.pid for name, child in self._children.items()}

    async def stop(self) -> None:
        """End every child, the outermost first, so that nothing new comes in while the inner ones finish."""
        self.stopping.set()
        for watcher in self._watchers.values():
            watcher.cancel()
        stages = sorted({child.program.stage for child in self._children.values()}, reverse=True)
        for stage in stages:
            ending = [child for child in self._children.values() if child.program.stage == stage]
            await asyncio.gather(*(child.stop() for child in ending))

    def kill(self) -> None:
        """End every child now."""
        for child in self._children.values():
            child.kill()
