"""The supervisor with small real programs: it waits, starts again, gives up, and leaves nobody behind."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.errors import PosternError
from broker.supervise import supervisor as module
from broker.supervise.child import Child, Program
from broker.supervise.output import Output
from broker.supervise.supervisor import Supervisor


def python(name: str, code: str, **more: object) -> Program:
    """A program that runs `code`."""
    return Program(name, (sys.executable, "-c", code), **more)  # type: ignore[arg-type]


FOREVER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition: Callable[[], bool], within: float = 20.0) -> None:
    """Wait for `condition`."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


async def soon(condition: Callable[[], bool], within: float = 20.0) -> None:
    """Wait for `condition` without holding up the loop."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.02)


async def test_a_program_that_ends_before_it_is_ready_stops_the_start() -> None:
    async def never() -> bool:
        return False

    supervisor = Supervisor(Output(io.StringIO()))
    with pytest.raises(ExceptionGroup) as failed:
        await supervisor.start([python("web", "raise SystemExit(3)", ready=never)])
    await supervisor.stop()
    assert failed.group_contains(PosternError, match="web ended with exit code 3 before it was ready")


async def test_a_program_that_is_never_ready_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> bool:
        return False

    monkeypatch.setattr(module, "READY_WITHIN", 0.2)
    supervisor = Supervisor(Output(io.StringIO()))
    with pytest.raises(ExceptionGroup) as failed:
        await supervisor.start([python("web", FOREVER, ready=never)])
    await supervisor.stop()
    assert failed.group_contains(PosternError, match="was not ready within")


async def test_a_crashed_program_is_started_again_and_said_so() -> None:
    shown = io.StringIO()
    supervisor = Supervisor(Output(shown))
    await supervisor.start([python("web", FOREVER)])
    first = supervisor.pids()["web"]
    os.kill(first, signal.SIGKILL)
    await soon(lambda: supervisor.pids()["web"] != first and alive(supervisor.pids()["web"]))
    await supervisor.stop()
    assert "web was ended by SIGKILL; starting it again in 0.25 s" in shown.getvalue()


async def test_a_program_that_keeps_crashing_ends_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "CRASHES", 3)
    supervisor = Supervisor(Output(io.StringIO()))
    await supervisor.start([python("worker", "import time; time.sleep(0.05)"), python("web", FOREVER)])
    web = supervisor.pids()["web"]
    await asyncio.wait_for(supervisor.stopping.wait(), 20)
    await supervisor.stop()
    assert supervisor.failure is not None
    assert "worker keeps ending" in supervisor.failure.message
    assert not alive(web)


async def test_the_rest_goes_on_without_a_sample_that_keeps_crashing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "CRASHES", 3)
    shown = io.StringIO()
    supervisor = Supervisor(Output(shown))
    await supervisor.start([python("demo", "pass", essential=False), python("web", FOREVER)])
    await soon(lambda: "demo keeps ending: the rest goes on without it" in shown.getvalue())
    assert not supervisor.stopping.is_set()
    assert alive(supervisor.pids()["web"])
    await supervisor.stop()


async def test_the_stop_is_in_order_the_outermost_first() -> None:
    shown = io.StringIO()
    tell = (
        "import signal, sys, time\n"
        "signal.signal(15, lambda *_: (print('bye', flush=True), sys.exit()))\n"
        "print('up', flush=True)\ntime.sleep(600)"
    )
    supervisor = Supervisor(Output(shown))
    await supervisor.start(
        [python("inner", tell, stage=0), python("middle", tell, stage=1), python("outer", tell, stage=2)]
    )
    await soon(lambda: shown.getvalue().count("up") == 3)
    await supervisor.stop()
    order = [line.split()[0] for line in shown.getvalue().splitlines() if line.endswith("bye")]
    assert order == ["outer", "middle", "inner"]


async def test_a_program_that_will_not_stop_is_ended_after_its_grace() -> None:
    shown = io.StringIO()
    child = Child(python("web", STUBBORN), Output(shown))
    await soon(lambda: "up" in shown.getvalue())
    await child.stop(grace=0.1)
    assert not alive(child.pid)


async def test_what_a_program_left_behind_in_its_group_is_ended_with_it() -> None:
    shown = io.StringIO()
    parent = (
        f"import subprocess, sys, time\np = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n"
        "print('child', p.pid, flush=True)\ntime.sleep(600)"
    )
    child = Child(python("edge", parent), Output(shown))
    await soon(lambda: bool(re.search(r"child \d+", shown.getvalue())))
    left = int(re.search(r"child (\d+)", shown.getvalue())[1])  # type: ignore[index]
    await child.stop()
    await soon(lambda: not alive(left))


def test_the_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from broker.supervise.child import Program
from broker.supervise.output import Output
from broker.supervise.supervisor import Supervisor
async def main():
    supervisor = Supervisor(Output())
    await supervisor.start([Program("web", (sys.executable, "-c", {STUBBORN!r}))])
    print("pid", supervisor.pids()["web"], flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline().split()[1])
    assert alive(child)
    parent.kill()
    parent.wait()
    until(lambda: not alive(child))


async def test_noise_is_left_out_and_a_last_line_without_an_end_is_shown() -> None:
    shown = io.StringIO()
    child = Child(python("valkey", "print('dull'); print('news', end='')", noise=("dull",)), Output(shown))
    await child.wait()
    assert shown.getvalue() == "valkey   | news\n"


def test_no_colours_where_nobody_can_see_them() -> None:
    shown = io.StringIO()
    Output(shown).line("web", "hello")
    assert shown.getvalue() == "web      | hello\n"
