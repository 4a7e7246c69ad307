"""The demo's own servers: on which ports, as whom, and with which configuration they run."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from broker.environment import Environment
from broker.setup.directories import make_private

SERVER = "demo-server"
RENEW_AFTER = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Samples:
    """Where the sample app and the sample server are. `sshd` is the program's path, empty if there is none."""

    directory: Path
    app_port: int
    ssh_port: int
    sshd: str
    login: str

    @property
    def ssh_dir(self) -> Path:
        """What would be /etc/ssh on a real host."""
        return self.directory / "ssh"

    @property
    def host_key(self) -> Path:
        """The server's private host key."""
        return self.ssh_dir / "ssh_host_ed25519_key"

    def prepare_sshd(self) -> bool:
        """Make the host key and a plain configuration; whether the server needs to be enrolled (again)."""
        make_private(self.ssh_dir)
        if not self.host_key.exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", SERVER, "-f", str(self.host_key)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=30)
        (self.ssh_dir / "sshd_config").write_text(self._sshd_config())
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        certificate = self.host_key.with_name(f"{self.host_key.name}-cert.pub")
        enrolled = certificate.exists() and (self.ssh_dir / "sshd_config.d" / "50-postern.conf").exists()
        return not enrolled or time.time() - certificate.stat().st_mtime > RENEW_AFTER

    def _sshd_config(self) -> str:
        """As on any host, but for the port and for running as whoever started the demo. Enrolment adds the rest."""
        lines = [
            f"Port {self.ssh_port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.host_key}",
            f"PidFile {self.ssh_dir}/sshd.pid",
            "AuthorizedKeysFile none",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UsePAM no",
            "StrictModes no",
            "PrintMotd no",
            "Subsystem sftp internal-sftp",
        ]
        if os.geteuid() != 0:  # the first of two wins: who is not root can run commands only as himself
            lines.append(f"AuthorizedPrincipalsCommandUser {self.login}")
        return "\n".join([*lines, f"Include {self.ssh_dir}/sshd_config.d/*.conf", ""])


def samples_of(env: Environment) -> Samples:
    """The samples of this installation, on the ports they had before where those are free."""
    directory = make_private(env.data_dir / "demo")
    remembered = directory / "ports.json"
    try:
        before = json.loads(remembered.read_text())
        app, ssh = int(before["app"]), int(before["ssh"])
    except (OSError, ValueError, KeyError, TypeError):
        app, ssh = 0, 0
    app, ssh = free_port(app), free_port(ssh)
    remembered.write_text(json.dumps({"app": app, "ssh": ssh}))
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""
    return Samples(directory, app, ssh, sshd, pwd.getpwuid(os.geteuid()).pw_name)


def free_port(port: int) -> int:
    """This port, or another if it is taken; 0 means any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found
