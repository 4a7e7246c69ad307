"""A person's machine with the CLI on it: a home of its own, the program as a process, plain ssh."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.real.product import Product
from tests.real.web_person import WebPerson


@dataclass
class Machine:
    """One person's machine: a home, an environment, and the program."""

    home: Path
    broker: Product

    @property
    def environ(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("POSTERN_", "XDG_", "SSH_"))}
        return {**clean, "HOME": str(self.home), "NO_COLOR": "1"}

    def postern(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "postern", *arguments]
        return subprocess.run(command, input=typed, capture_output=True, text=True, env=self.environ, timeout=90)

    def ok(self, *arguments: str, typed: str = "") -> str:
        ran = self.postern(*arguments, typed=typed)
        assert ran.returncode == 0, f"{arguments}: {ran.stderr}\n{self.broker.output[-2000:]}"
        return ran.stdout

    def ssh(self, target: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Plain ssh, with nothing but the person's own ~/.ssh/config (ssh takes the home of the account, not $HOME)."""
        config = str(self.home / ".ssh" / "config")
        words = ["ssh", "-F", config, "-o", "BatchMode=yes", target, *command]
        return subprocess.run(
            words, capture_output=True, text=True, env=self.environ, timeout=60, stdin=subprocess.DEVNULL
        )

    def login(self, person: WebPerson) -> None:
        """`postern login --no-browser`, the code copied from the page by hand."""
        command = [sys.executable, "-m", "postern", "login", "--no-browser", self.broker.url]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, text=True, env=self.environ, **pipes) as process:  # type: ignore[call-overload]
            address = next(line.strip() for line in process.stderr if "/oauth/authorize?" in line)
            page = person.allow(address)
            assert page.status_code == 200, page.text
            code = re.search(r"<code[^>]*>([A-Za-z0-9_.~-]{20,})</code>", page.text)
            assert code, page.text
            _out, err = process.communicate(f"{code[1]}\n", timeout=60)
        assert process.returncode == 0, err


def machine(directory: Path, name: str, broker: Product) -> Machine:
    home = directory / f"home of {name}"
    home.mkdir(mode=0o700)
    return Machine(home, broker)
