"""Processes that are copies of this one. Each is tried in a process of its own, since pytest has threads."""

from __future__ import annotations

import subprocess
import sys

from broker.environment import BASE_DIR

START = """
import os, signal, sys, threading, time
from broker.supervise.forked import fork
def run(call, environ={}):
    reading, writing = os.pipe()
    pid, poll = fork("test", call, writing, environ)
    os.close(writing)
    with os.fdopen(reading) as lines:
        text = lines.read()
    while poll() is None:
        time.sleep(0.01)
    return poll(), text
"""


def tried(code: str) -> str:
    """What the code prints."""
    done = subprocess.run(
        [sys.executable, "-c", START + code], cwd=BASE_DIR, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_process_with_threads_is_not_copied() -> None:
    code = """
stop = threading.Event()
threading.Thread(target=stop.wait).start()
try:
    run(lambda: None)
except RuntimeError as error:
    print(error)
stop.set()
"""
    assert "threads" in tried(code)


def test_a_failure_is_shown_and_never_returns_into_the_supervisor() -> None:
    code = """
before = os.getpid()
try:
    print(run(lambda: 1 / 0)[0])
finally:
    print("back", os.getpid() == before)
"""
    assert tried(code) == "1\nback True\n"


def test_the_exit_code_the_output_and_the_environment_are_its_own() -> None:
    code = """
code, text = run(lambda: (print(os.environ["WHO"], os.getsid(0) == os.getpid()), sys.exit(7)), {"WHO": "alice"})
print(code, text.strip(), "WHO" in os.environ)
"""
    assert tried(code) == "7 alice True False\n"


def test_our_signal_handlers_are_not_inherited() -> None:
    code = """
signal.signal(signal.SIGTERM, lambda *_: print("ours"))
code, text = run(lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(60)))
print(code, repr(text))
"""
    assert tried(code) == "-15 ''\n"
