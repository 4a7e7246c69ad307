"""The demo's programs: the sample app and the sample OpenSSH server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

from broker.environment import BASE_DIR, Environment
from broker.setup.samples import Samples
from broker.supervise.child import Program
from broker.supervise.plan import SAMPLES
from broker.supervise.preflight import listeners
from broker.supervise.ready import Question

_PROBED = ("kex_exchange_identification: Connection closed by", "Connection closed by 127.0.0.1")
"""What sshd says when we only ask whether it listens."""


def programs(env: Environment, samples: Samples) -> Iterator[Program]:
    """What `--demo` adds."""
    host, port = next(iter(listeners(env)))
    yield Program(
        "demo-app",
        (
            *(sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(BASE_DIR / "examples" / "demo")),
            *("--host", "127.0.0.1", "--port", str(samples.app_port), "--lifespan", "off"),
            *("--no-access-log", "--log-level", "warning"),
        ),
        ready=_listens(samples.app_port),
        stage=SAMPLES,
        essential=False,
        environ={
            "DEMO_BROKER": env.url,
            "DEMO_BROKER_AT": f"{'127.0.0.1' if host == '0.0.0.0' else host}:{port}",
            "DEMO_AUDIENCE": env.app_url(f"demo-app.{env.app_suffix}"),
        },
    )
    if samples.sshd:
        yield Program(
            "demo-ssh",
            (samples.sshd, "-D", "-e", "-f", str(samples.ssh_dir / "sshd_config")),
            ready=_listens(samples.ssh_port),
            stage=SAMPLES,
            essential=False,
            noise=_PROBED,
        )


def _listens(port: int) -> Question:
    async def ask() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return ask
