"""The demo's programs: the sample app, OpenSSH server, OpenID Provider and directory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

from broker.environment import BASE_DIR, Environment
from broker.setup.sample_sources import Sources
from broker.setup.samples import Samples
from broker.supervise.child import Program
from broker.supervise.plan import SAMPLES
from broker.supervise.preflight import listeners
from broker.supervise.ready import Question

_PROBED = ("kex_exchange_identification: Connection closed by", "Connection closed by 127.0.0.1")
"""What sshd says when we only ask whether it listens."""


def programs(env: Environment, samples: Samples, sources: Sources) -> Iterator[Program]:
    """What `--demo`, `--demo-idp` and `--demo-ldap` add."""
    host, port = next(iter(listeners(env)))
    broker_at = f"{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    yield Program(
        "demo-app",
        _served("app:app", samples.app_port),
        ready=_listens(samples.app_port),
        stage=SAMPLES,
        essential=False,
        environ={
            "DEMO_BROKER": env.url,
            "DEMO_BROKER_AT": broker_at,
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

    if sources.idp_port:
        yield Program(
            "demo-idp",
            _served("openid_provider:app", sources.idp_port),
            ready=_listens(sources.idp_port),
            stage=SAMPLES,
            essential=False,
            environ={
                "DEMO_ISSUER": sources.values["idp_issuer"],
                "DEMO_CLIENT_SECRET": sources.values["idp_secret"],
                "DEMO_BROKER": env.url,
                "DEMO_BROKER_AT": broker_at,
            },
        )
    if sources.ldap_port:
        configuration = str(sources.directory / "ldap" / "slapd.conf")
        yield Program(
            "demo-ldap",
            (sources.slapd, "-f", configuration, "-h", sources.values["ldap_url"], "-d", "0"),
            ready=_listens(sources.ldap_port),
            stage=SAMPLES,
            essential=False,
        )


def _served(app: str, port: int) -> tuple[str, ...]:
    """The command that serves a sample of `examples/demo` on loopback."""
    return (
        *(sys.executable, "-m", "uvicorn", app, "--app-dir", str(BASE_DIR / "examples" / "demo")),
        *("--host", "127.0.0.1", "--port", str(port), "--lifespan", "off", "--no-access-log", "--log-level", "warning"),
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
