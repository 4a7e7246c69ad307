"""A certified OpenID Provider of the tests' own: npm oidc-provider on a loopback port."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import playwright

from tests.real.product import ROOT, free_port

CLIENT_ID, CLIENT_SECRET = "postern", "a secret + of/the tests"
PEOPLE = {
    "alice": {
        "name": "Alice Adams",
        "email": "alice@example.com",
        "email_verified": True,
        "preferred_username": "alice",
        "groups": ["engineers", "staff"],
    },
    "bob": {
        "name": "Bob Brown",
        "email": "bob@example.com",
        "email_verified": True,
        "preferred_username": "bob",
        "groups": ["staff"],
    },
}


class OpenIDProvider:
    """`with OpenIDProvider(tmp_path, broker.url) as op:`; it knows `PEOPLE`, whatever their passwords."""

    def __init__(self, directory: Path, broker: str, connector: str = "corp", *, userinfo: bool = False) -> None:
        self.port = free_port()
        self.lines: list[str] = []
        self._accounts = directory / "accounts.json"
        self._environ = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR")},
            "PORT": str(self.port),
            "BROKER": broker,
            "CONNECTOR": connector,
            "ACCOUNTS": str(self._accounts),
            "USERINFO": "1" if userinfo else "",
        }
        self._arrived: queue.Queue[str | None] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None
        self.keep(PEOPLE)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def document(self, name: str = "corp", **spec: Any) -> dict[str, Any]:
        """The connector to it."""
        whole = {
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scopes": ["openid", "email", "profile", "groups"],
            "groups": [{"claim": "groups", "groups": ["{{external.groups}}"]}],
            **spec,
        }
        return {"kind": "oidc", "metadata": {"name": name}, "spec": whole}

    def keep(self, people: Mapping[str, Mapping[str, Any]]) -> None:
        """From now on it knows these people."""
        beside = self._accounts.with_suffix(".new")
        beside.write_text(json.dumps(people))
        beside.rename(self._accounts)

    def start(self) -> OpenIDProvider:
        """Start it; returns when it answers."""
        self._arrived = queue.Queue()
        node = Path(playwright.__file__).parent / "driver" / "node"
        self._process = subprocess.Popen(
            [str(node), str(Path(__file__).with_name("oidc_provider.mjs"))],
            cwd=ROOT,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, args=(self._process, self._arrived), daemon=True).start()
        self.wait_for_line(f"ready {self.issuer}")
        return self

    def _read(self, process: subprocess.Popen[str], arrived: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))
            arrived.put(self.lines[-1])
        arrived.put(None)

    def wait_for_line(self, text: str, within: float = 30.0) -> str:
        """The next line that begins so."""
        while True:
            line = self._arrived.get(timeout=within)
            if line is None:
                raise AssertionError("the provider ended:\n" + "\n".join(self.lines))
            if line.startswith(text):
                return line

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def __enter__(self) -> OpenIDProvider:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()
