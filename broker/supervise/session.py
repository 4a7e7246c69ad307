"""One run of the product, from the first start to the last stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence

from broker.environment import BASE_DIR, Environment, load
from broker.errors import Invalid, PosternError
from broker.setup import directories
from broker.supervise import plan, preflight
from broker.supervise.announce import announce
from broker.supervise.child import Program
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
        lock = preflight.take_lock(env.data_dir / "up.lock", env.url)
        with contextlib.closing(lock):
            preflight.check_ports(env)
            told = _set_up()
            more: list[Program] = []
            if wanted := os.environ.get("POSTERN_DEMO"):
                lines, more = _demo(env, frozenset(wanted.split(",")))
                told += lines
            plan.load_what_they_need()
            return asyncio.run(session(env, told, more))
    except Invalid as error:
        return fail("; ".join(str(problem) for problem in error.problems) or error.message)
    except PosternError as error:
        return fail(error.message, error.hint)
    except KeyboardInterrupt:
        say("stopped")
        return 0


async def session(env: Environment, told: Sequence[str], more: Sequence[Program]) -> int:
    """Start everything, say that it is ready and what the set-up told, wait for the end. Returns the exit code."""
    _raise_file_limit()
    supervisor = Supervisor(Output())
    _listen_to_signals(supervisor)
    failure: PosternError | None = None
    listener = plan.listen_at(env.socket("web"))
    try:
        if await _unless_stopped(supervisor, _start(supervisor, env, listener, told, more)):
            await supervisor.stopping.wait()
        failure = supervisor.failure
    except* PosternError as group:
        failure = _first(group)
    finally:
        await supervisor.stop()
        listener.close()
        with contextlib.suppress(FileNotFoundError):
            env.socket("web").unlink()
    if failure:
        return fail(failure.message, failure.hint)
    say("stopped")
    return 0


async def _start(
    supervisor: Supervisor, env: Environment, listener: socket.socket, told: Sequence[str], more: Sequence[Program]
) -> None:
    store = plan.valkey(env)
    try:
        await supervisor.start([store] if store else [])
        await supervisor.start([*plan.programs(env, listener), *more])
        await _answers(front_door(env), env)
    except BaseException:
        say("\n".join(told))  # a link is told once: it must not be lost with the start
        raise
    announce(env, told)


def _set_up() -> list[str]:
    """The set-up in this very process: its children are copies of it and find everything loaded."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")
    import django

    django.setup()
    from broker.setup.steps import set_up

    return set_up(lambda text: print(text, file=sys.stderr, flush=True))


def _demo(env: Environment, wanted: frozenset[str]) -> tuple[list[str], list[Program]]:
    from broker.setup import demo
    from broker.setup.sample_sources import sources_of
    from broker.setup.samples import samples_of
    from broker.supervise.demo import programs

    samples = samples_of(env)
    sources = sources_of(samples.directory, idp="idp" in wanted, ldap="ldap" in wanted)
    return demo.set_up(samples, sources), list(programs(env, samples, sources))


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
