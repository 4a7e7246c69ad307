"""nginx as a child: started, told to read a new configuration only after it has tried it, ended."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import resource
import signal
import sys
from pathlib import Path

from broker.errors import PosternError
from broker.supervise.deathsig import with_parent
from proxy.web.nginx_binary import Nginx

log = logging.getLogger(__name__)

CONF = "nginx.conf"
_SECRETS = re.compile(r"\?[^\s\"]*|(?<=/invite/)[^\s\"/?]+|ptn_[0-9A-Za-z_]+")

MIME_TYPES = """types {
    text/html html;
    text/css css;
    application/javascript js mjs;
    application/json json map;
    image/svg+xml svg;
    image/png png;
    image/x-icon ico;
    font/woff2 woff2;
    text/plain txt;
}
"""


class NginxProcess:
    """One nginx and its directory, in which `nginx.conf` is always the last configuration that was found good."""

    def __init__(self, nginx: Nginx, directory: Path) -> None:
        self._nginx = nginx
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self._lines: asyncio.Task[None] | None = None

    def prepare(self) -> None:
        """Make the directories nginx works in."""
        (self._directory / "tmp").mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._directory / "mime.types").write_text(MIME_TYPES)

    @property
    def conf(self) -> Path:
        """The configuration in force."""
        return self._directory / CONF

    def _argv(self, conf: Path, *more: str) -> list[str]:
        return [self._nginx.path, "-p", str(self._directory), "-c", str(conf), "-e", "stderr", *more]

    async def accept(self, text: str) -> str:
        """Try a configuration and keep it if it is good; what is wrong with it otherwise."""
        beside = self._directory / "nginx.conf.new"
        beside.write_text(text)
        beside.chmod(0o600)
        process = await asyncio.create_subprocess_exec(
            *self._argv(beside, "-t", "-q"), stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
        )
        _, said = await process.communicate()
        if process.returncode != 0:
            return scrubbed(said.decode("utf-8", "replace").strip()) or f"exit code {process.returncode}"
        beside.replace(self.conf)
        return ""

    async def start(self) -> None:
        """Start it with the configuration in force."""
        _raise_file_limit()
        self._process = await asyncio.create_subprocess_exec(
            *self._argv(self.conf),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=with_parent(signal.SIGTERM),
        )
        assert self._process.stderr is not None  # noqa: S101 - we asked for a pipe
        self._lines = asyncio.create_task(_forward(self._process.stderr))

    def reload(self) -> None:
        """Have it read the configuration in force; connections go on."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)

    def reopen_logs(self) -> None:
        """Have it open its log files anew."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal.SIGUSR1)

    async def wait(self) -> int:
        """Wait for its end; its exit code."""
        if self._process is None:
            raise PosternError("nginx was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """End it, by force if it does not."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), 5.0)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def scrubbed(line: str) -> str:
    """A line of nginx's error log without queries and tokens: it quotes whole requests."""
    return _SECRETS.sub("…", line)


async def _forward(stream: asyncio.StreamReader) -> None:
    while line := await stream.readline():
        print(scrubbed(line.decode("utf-8", "replace").rstrip()), file=sys.stderr, flush=True)


def _raise_file_limit() -> None:
    """Each connection takes two files: ask for as many as we may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1_048_576
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def user_directive() -> str:
    """Whom nginx's workers run as: us. Only root may say so."""
    if os.geteuid() != 0:
        return ""
    import grp
    import pwd

    return f"{pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getegid()).gr_name}"
