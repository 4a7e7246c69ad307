"""The whole product on a data directory of a test: started like `bin/run` starts it, stopped by its pid."""

from __future__ import annotations

import contextlib
import http.cookiejar
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import httpx2

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 120.0
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
"""What our clients call themselves: a session begun by one may go on in Chromium, since it names the same browser."""


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Product:
    """Postern with all its processes. `with Product(tmp_path) as product: product.http().get("/readyz")`."""

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        *,
        demo: bool = False,
        samples: Sequence[str] = (),
        become: Sequence[str] = (),
    ) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.samples = ("--demo", *samples) if demo else tuple(samples)
        self._become = become
        self.lines: list[str] = []
        self.invite_url = ""
        self.seconds_to_ready = 0.0
        self._env = dict(env or {})
        self._process: subprocess.Popen[str] | None = None
        self._arrived: queue.Queue[str | None] = queue.Queue()

    @property
    def url(self) -> str:
        """The broker's address."""
        return self._env.get("POSTERN_URL") or f"http://postern.localhost:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What its processes, and `manage`, run with."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("POSTERN_")}
        return {
            **clean,
            "POSTERN_URL": self.url,
            "POSTERN_DATA_DIR": str(self.data_dir),
            "PYTHONUNBUFFERED": "1",
            **self._env,
        }

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """All lines so far, of all processes."""
        return "\n".join(self.lines)

    def start(self) -> Product:
        """Start it and wait until it is ready. Raises AssertionError with its output if it does not get there."""
        began = time.monotonic()
        self.lines, self.invite_url, self._arrived = [], "", queue.Queue()
        argv = [*self._become, sys.executable, "-m", "broker.supervise", *self.samples]
        self._process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._read, args=(self._process, self.lines, self._arrived), daemon=True).start()
        self.wait_for_line(rf"^ready {re.escape(self.url)}$")
        self.seconds_to_ready = time.monotonic() - began
        return self

    def _read(self, process: subprocess.Popen[str], lines: list[str], arrived: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            text = line.rstrip("\n")
            if found := re.search(r"first administrator: open (\S+)", text):
                self.invite_url = found[1]
            lines.append(text)
            arrived.put(text)
        arrived.put(None)

    def wait_for_line(self, pattern: str, within: float = READY_WITHIN) -> str:
        """The next line that matches."""
        deadline = time.monotonic() + within
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                line = self._arrived.get(timeout=left)
                if line is None:
                    raise AssertionError(f"Postern ended before {pattern!r}:\n{self.output}")
                if re.search(pattern, line):
                    return line
        raise AssertionError(f"no line like {pattern!r} within {within} s:\n{self.output}")

    def manage(self, *arguments: str, check: bool = True) -> str:
        """What `manage.py ARGUMENTS` prints, run beside it on the same data."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if check and done.returncode:
            raise AssertionError(f"manage.py {arguments[0]} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def http(self, *, headers: Mapping[str, str] | None = None, **options: object) -> httpx2.Client:
        """A client like one person's browser: `*.localhost` is here, cookies are kept, redirects are not followed."""
        policy = http.cookiejar.DefaultCookiePolicy(secure_protocols=("https", "wss", "http"))
        return httpx2.Client(
            base_url=self.url,
            transport=Loopback(),
            cookies=http.cookiejar.CookieJar(policy),
            headers={"User-Agent": CHROME, **(headers or {})},
            timeout=30.0,
            **options,  # type: ignore[arg-type]
        )

    def stop(self, how: int = signal.SIGTERM, within: float = 40.0) -> int:
        """Stop it and wait; the exit code."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(how)
        try:
            return process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"Postern did not stop within {within} s:\n{self.output}") from None

    def __enter__(self) -> Product:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Loopback(httpx2.HTTPTransport):
    """Sends requests for `*.localhost` to 127.0.0.1, as browsers do, with their own Host header."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer of the server on this machine."""
        if request.url.host == "localhost" or request.url.host.endswith(".localhost"):
            # A request of its own: the client files cookies under the address of the one it made.
            request = httpx2.Request(
                request.method,
                request.url.copy_with(host="127.0.0.1"),
                headers=request.headers,  # with the Host it was made for
                stream=request.stream,
                extensions=request.extensions,
            )
        return super().handle_request(request)
