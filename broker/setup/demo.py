"""What `bin/run --demo` adds: people, roles, a sample app and a sample OpenSSH server, by the ordinary services."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from string import Template

from django.conf import settings

from accounts.models import User
from accounts.services.invites import invite_user
from broker.audit import wake
from broker.audit.origin import system
from broker.errors import PosternError
from broker.models import Server
from broker.services.apply import Source, apply
from broker.services.certificates import issue_host
from broker.services.enrolment import script
from broker.setup.sample_sources import FILES, Sources
from broker.setup.samples import SERVER, Samples

PEOPLE = {
    "alice": "uses the app and logs in to the server",
    "bob": "looks at the app, and nothing more",
    "charlie": "may nothing",
}


@wake.unheard()
def set_up(samples: Samples, sources: Sources) -> list[str]:
    """Make what is missing; the lines that say how to try it. What an administrator changed since stays changed."""
    values = {
        "login": samples.login,
        "app_port": str(samples.app_port),
        "ssh_port": str(samples.ssh_port),
        **sources.values,
    }
    files = ["app.yaml", *(["server.yaml"] if samples.sshd else [])]
    if not User.objects.by_name("alice"):
        files += ["roles.yaml", "people.yaml"]
    if sources.idp_port or sources.ldap_port:
        files += ["connected.yaml"]
    if sources.idp_port:
        files += ["openid.yaml"]
    if sources.ldap_port:
        sources.prepare_directory()
        files += ["directory.yaml"]
    apply(system("demo"), None, [_document(FILES / name, values) for name in files])
    if samples.sshd:
        _enroll(samples)
    return [*_people(), *_sources(sources), *_places(samples)]


def _document(path: Path, values: dict[str, str]) -> Source:
    return Source(path.name, Template(path.read_text()).safe_substitute(values))


def _enroll(samples: Samples) -> None:
    """Let the sample server run the very script that an administrator would run on a real one."""
    if not samples.prepare_sshd():
        return
    server = Server.objects.get(name=SERVER)
    certificate = issue_host(system("demo"), server, samples.host_key.with_suffix(".pub").read_text()).certificate
    done = subprocess.run(
        ["sh"],
        input=script(SERVER, certificate=certificate),
        env={**os.environ, "POSTERN_SSH_DIR": str(samples.ssh_dir), "POSTERN_HOST_KEY": str(samples.host_key)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    if done.returncode:
        raise PosternError("the sample server could not be enrolled", (done.stderr or done.stdout).strip()[-500:])


def _people() -> list[str]:
    lines = []
    for name, may in PEOPLE.items():
        user = User.objects.by_name(name)
        if user is None or not user.is_active:
            continue
        if user.has_usable_password():
            lines.append(f"  {name:<8}{may}; has enrolled")
        else:
            lines += [
                f"  {name:<8}{may}; enrol (once, within the hour):",
                f"          {invite_user(system('demo'), user).url}",
            ]
    if not lines:
        return []
    return [
        "demo: people, each with a password of your choice and a code from an authenticator app",
        *lines,
        "  without such an app: .venv/bin/python examples/demo/totp.py SECRET, with the key below “No camera?”",
    ]


def _sources(sources: Sources) -> list[str]:
    lines = []
    if sources.idp_port:
        lines.append("demo: “Sample provider” when signing in knows erin (uses all) and frank (looks), password “demo”")
    if sources.ldap_port:
        lines.append("demo: the sample directory knows the names grace (uses all) and heidi (looks), password “demo”")
    return lines


def _places(samples: Samples) -> list[str]:
    env = settings.POSTERN
    lines = [f"demo: the app     open {env.app_url(f'demo-app.{env.app_suffix}')}"]
    if samples.sshd:
        lines += [
            f"demo: the server  .venv/bin/postern login {env.url}",
            f"                  .venv/bin/postern ssh {samples.login}@{SERVER}",
        ]
    else:
        lines.append(
            "demo: no sample server, because sshd is not installed (Debian, Ubuntu: apt install openssh-server)"
        )
    return lines
