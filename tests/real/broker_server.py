"""The broker alone (its ASGI application under uvicorn), on a data directory and a loopback port of a test."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import httpx2

from tests.real.product import ROOT, Product

START_SECONDS = 60


class BrokerServer(Product):
    """What `Product` is, without nginx and the processes behind it: enough for sign-in, the API and certificates."""

    def start(self) -> BrokerServer:
        said = self.manage("setup")
        found = re.search(r"open (\S+/invite/\S+)", said)
        assert found, said
        self.invite_url = found[1]
        with (self.data_dir / "web.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "broker.asgi:application", "--port", str(self.port)],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                if self.http().get("/healthz").status_code == 200:
                    return self
            except httpx2.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the broker did not start:\n{self.output}")

    @property
    def output(self) -> str:
        """What it said."""
        log = self.data_dir / "web.log"
        return log.read_text() if log.exists() else ""

    def __enter__(self) -> BrokerServer:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise
