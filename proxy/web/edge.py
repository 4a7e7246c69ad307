"""The edge: nginx as a child, its configuration kept in step with the apps, and the tunnel beside it."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from django.conf import settings

from broker.audit import feed
from broker.environment import Environment
from broker.errors import PosternError
from broker.live import Live, LiveApp
from proxy.web.audit_writer import AuditWriter
from proxy.web.authz_server import socket_of, told_by_signals
from proxy.web.listening import listen_at
from proxy.web.nginx_binary import find
from proxy.web.nginx_conf import Front, Site, render
from proxy.web.nginx_process import NginxProcess, user_directive
from proxy.web.resolver import REFRESH, Resolver
from proxy.web.tunnel import LONGEST_HEAD, Tunnels
from proxy.web.upstream_address import upstream_of

log = logging.getLogger(__name__)

LARGEST_LOG = 64 * 1024 * 1024


def front_of(env: Environment, directory: Path, http2_directive: bool) -> Front:
    """What the configuration needs of the settings."""
    return Front(
        host=env.host,
        netloc_port=env.netloc_port,
        scheme="https" if env.secure else "http",
        listen=tuple((env.listen or f"127.0.0.1:{env.port}").replace(",", " ").split()),
        run_dir=str(directory),
        static_dir=str(settings.STATIC_ROOT),
        access_log=str(env.data_dir / "log" / "access.log"),
        authz_sockets=tuple(str(socket_of(env, number)) for number in range(env.authz_workers)),
        web_socket=str(env.socket("web")),
        tunnel_socket=str(env.socket("tunnel")),
        ca_bundle=system_ca_bundle(),
        certificate=str(env.tls_certificate or ""),
        certificate_key=str(env.tls_key or ""),
        trusted_proxies=tuple(env.trusted_proxies),
        user=user_directive(),
        http2_directive=http2_directive,
    )


def system_ca_bundle() -> str:
    """The file with the CAs this machine trusts."""
    paths = (ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/cert.pem")
    return next((path for path in paths if path and Path(path).exists()), "/etc/ssl/certs/ca-certificates.crt")


class Edge:
    """Everything the process holds."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._directory = env.run_dir / "nginx"
        nginx = find()
        self._nginx = NginxProcess(nginx, self._directory)
        self._front = front_of(env, self._directory, nginx.http2_directive)
        self._live = Live()
        self._live.load()
        self._resolver = Resolver()
        self._writer = AuditWriter()
        self._tunnels = Tunnels(self._live, self._writer, self._resolver, env.websocket_max_frame)
        self._apps_changed = asyncio.Event()
        self._rendered = ""
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until told to end; raises PosternError when nginx cannot be started or ends by itself."""
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        follower = self._live.follow(self._on_events)
        self._nginx.prepare()
        await self._render()
        if not self._rendered:
            raise PosternError("nginx does not take its configuration", "the lines above say what is wrong with it")
        await self._nginx.start()
        tunnel = await asyncio.start_unix_server(
            self._tunnels.serve, sock=listen_at(self._env.socket("tunnel")), limit=LONGEST_HEAD
        )
        log.info("nginx on %s, apps: %d", ", ".join(self._front.listen), len(self._live.apps))
        gc.collect()
        gc.freeze()
        tasks = [
            asyncio.create_task(self._keep_rendered()),
            asyncio.create_task(self._tunnels.watch(lambda: time.monotonic() - follower.caught_up_at)),
            asyncio.create_task(self._keep_small()),
        ]
        ended = asyncio.create_task(self._nginx.wait())
        told = asyncio.create_task(stopping.wait())
        await asyncio.wait({ended, told, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        tunnel.close()
        await self._tunnels.stop()
        await self._nginx.stop()
        follower.stop()
        failed = next((task for task in tasks if task.done()), None)
        for task in (*tasks, told, ended):
            task.cancel()
        self._env.socket("tunnel").unlink(missing_ok=True)
        self._writer.stop()
        if failed:
            failed.result()
        if not told.done() and ended.done() and not ended.cancelled():
            raise PosternError(f"nginx ended by itself with exit code {ended.result()}", "its last lines are above")

    # --- the feed -----------------------------------------------------------------------------------------------------

    def _on_events(self, events: Sequence[feed.FeedEvent]) -> None:
        """In the follower's thread, which may ask the database: then everything live is decided on anew."""
        touching = [event for event in events if event.touches]
        if not touching or self._loop is None:
            return
        self._tunnels.refetch()
        self._loop.call_soon_threadsafe(self._tunnels.recheck, touching)
        if any(touch.startswith("app:") for event in touching for touch in event.touches):
            self._loop.call_soon_threadsafe(self._apps_changed.set)

    # --- the configuration --------------------------------------------------------------------------------------------

    async def _keep_rendered(self) -> None:
        """Render when apps change, and now and then for names whose addresses changed."""
        while True:
            try:
                async with asyncio.timeout(REFRESH):
                    await self._apps_changed.wait()
            except TimeoutError:
                pass
            self._apps_changed.clear()
            await self._render()

    async def _render(self) -> None:
        """Render; have nginx take it if it changed and is good. Of a bad one we tell, and the last good one stays."""
        apps = list(self._live.apps.values())
        hosts = {upstream_of(app.spec.uri).host for app in apps}
        await asyncio.to_thread(self._resolver.look_up, hosts)
        text = render(self._front, [self._site(app) for app in apps])
        if text == self._rendered:
            return
        if problem := await self._nginx.accept(text):
            log.error("nginx does not take the new configuration, the last good one stays: %s", problem)
            return
        first, self._rendered = not self._rendered, text
        if not first:
            self._nginx.reload()
            log.info("nginx reloaded, apps: %d", len(apps))

    def _site(self, app: LiveApp) -> Site:
        ca_file = ""
        if app.spec.tls.ca:
            path = self._directory / f"ca-{app.id}.pem"
            if not path.exists() or path.read_text() != app.spec.tls.ca:
                path.write_text(app.spec.tls.ca)
            ca_file = str(path)
        addresses = self._resolver.addresses(upstream_of(app.spec.uri).host)
        return Site(app.id, app.host, app.spec, addresses, ca_file)

    async def _keep_small(self) -> None:
        """Begin a new access log when the old one is large; one old one is kept. And forget sessions that are over."""
        path = Path(self._front.access_log)
        while True:
            await asyncio.sleep(60.0)
            self._live.forget_old(time.time())
            if await asyncio.to_thread(_moved_aside, path):
                self._nginx.reopen_logs()


def _moved_aside(path: Path) -> bool:
    if not path.exists() or path.stat().st_size <= LARGEST_LOG:
        return False
    path.replace(path.with_suffix(".log.1"))
    return True


def serve(env: Environment) -> None:
    """Run the edge."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_made_on_loop(env))


async def _made_on_loop(env: Environment) -> None:
    edge = await asyncio.to_thread(Edge, env)
    await edge.run(told_by_signals())
