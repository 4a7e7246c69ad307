"""One run of the product, from the first start to the last stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
from collections.abc import Coroutine

from broker.environment import BASE_DIR, Environment, load
from broker.errors import Invalid, PosternError
from broker.supervise import directories, plan, preflight, prepare
from broker.supervise.announce import announce
from broker.supervise.output import Output, fail, say
from broker.supervise.ready import Question, front_door
from broker.supervise.supervisor import READY_WITHIN, Supervisor

FILES = 65536


def main() -> int:
    """The exit code: 0 after a stop that was asked for, 1 when it could not start or could not go on."""
    os.umask(0o077)
    os.chdir(BASE_DIR)
    try:
        env = load()
        os.environ["POSTERN_DATA_DIR"] = str(env.data_dir)
        directories.make_all(env)
        lock = preflight.take_lock(env.data_dir / "up.lock")
        with contextlib.closing(lock):
            preflight.check_ports(env)
            return asyncio.run(session(env))
    except Invalid as error:
        return fail("; ".join(str(problem) for problem in error.problems) or error.message)
    except PosternError as error:
        return fail(error.message, error.hint)


async def session(env: Environment) -> int:
    """Start everything, say that it is ready, wait for the end. Returns the exit code."""
    _raise_file_limit()
    supervisor = Supervisor(Output())
    _listen_to_signals(supervisor)
    failure: PosternError | None = None
    listener = plan.listen_at(env.socket("web"))
    try:
        if await _unless_stopped(supervisor, _start(supervisor, env, listener)):
            await supervisor.stopping.wait()
        failure = supervisor.failure
    except* PosternError as group:
        failure = _first(group)
    finally:
        await supervisor.stop()
        listener.close()
        with contextlib.suppress(FileNotFoundError):
            env.socket("web").unlink()
    if isinstance(failure, prepare.SetupFailed):
        return 1
    if failure:
        return fail(failure.message, failure.hint)
    say("stopped")
    return 0


async def _start(supervisor: Supervisor, env: Environment, listener: socket.socket) -> None:
    store = plan.valkey(env)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.start([store] if store else []))
        first = group.create_task(prepare.run("setup"))
    lines = list(first.result()["lines"])
    try:
        await supervisor.start(plan.programs(env, listener))
        await _answers(front_door(env), env)
    except BaseException:
        say("\n".join(lines))  # a link is told once: it must not be lost with the start
        raise
    announce(env, lines)


async def _answers(question: Question, env: Environment) -> None:
    deadline = asyncio.get_running_loop().time() + READY_WITHIN
    while not await question():
        if asyncio.get_running_loop().time() > deadline:
            raise PosternError(f"{env.url}/readyz does not answer", "the lines of web and edge above say more")
        await asyncio.sleep(0.05)


async def _unless_stopped(supervisor: Supervisor, work: Coroutine[object, object, None]) -> bool:
    """Do `work`; False if a signal came before it was done."""
    task = asyncio.create_task(work)
    stopped = asyncio.create_task(supervisor.stopping.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return False


def _listen_to_signals(supervisor: Supervisor) -> None:
    def asked() -> None:
        if supervisor.stopping.is_set():  # asked twice: somebody is in a hurry
            supervisor.kill()
        supervisor.stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, FILES), hard))


def _first(group: BaseExceptionGroup[PosternError]) -> PosternError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, PosternError)  # noqa: S101 - that is what the group holds
    return error
