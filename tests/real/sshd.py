"""A real OpenSSH server on a free loopback port, set up the way `enroll` sets servers up, and a real `ssh` to try it.

    with Sshd(tmp_path, "db-1", user_ca=user_ca_line, certify_host=sign_host_key) as server:
        ran = ssh(server, key=private_key_file, certificate=certificate_line, known_hosts=host_ca_line)

It logs in the user who runs the tests (root, when that is who does), for no other account is sure to be there.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

ME = pwd.getpwuid(os.geteuid()).pw_name
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or "/usr/sbin/sshd"
START_SECONDS = 15


class Sshd:
    """A server called `name` that takes access certificates for `LOGIN@NAME` signed by `user_ca` (a public key line).

    `certify_host` is given the host's public key line and answers with a host certificate. `krl` is the content of
    RevokedKeys. `lines` are added in front of the configuration, and so win over ours.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        directory: Path,
        name: str,
        user_ca: str = "",
        *,
        certify_host: Callable[[str], str] | None = None,
        krl: bytes = b"",
        lines: Sequence[str] = (),
    ) -> None:
        self.directory = directory / f"sshd-{name}"
        self.name = name
        self.port = 0
        self._user_ca = user_ca
        self._certify_host = certify_host
        self._krl = krl
        self._lines = tuple(lines)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host_key(self) -> str:
        """The host's public key line."""
        return (self.directory / "host_key.pub").read_text().strip()

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was not started"
        return self._process.pid

    def log(self) -> str:
        """What the server said so far (LogLevel VERBOSE)."""
        return (self.directory / "log").read_text(errors="replace")

    def start(self) -> None:
        self._write_files()
        for _ in range(3):  # somebody may take the free port before sshd does
            self.port = _free_port()
            self._write_config()
            if self._run():
                return
        raise RuntimeError(f"sshd did not start:\n{self.log()}")

    def stop(self) -> None:
        """End the server and what it started."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> Sshd:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_files(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", self.directory / "host_key"],
            check=True,
        )
        (self.directory / "user_ca.pub").write_text(self._user_ca + "\n")
        if self._certify_host:
            (self.directory / "host_key-cert.pub").write_text(self._certify_host(self.host_key) + "\n")
        if self._krl:
            (self.directory / "krl").write_bytes(self._krl)

    def _write_config(self) -> None:
        at = self.directory
        config = [
            *self._lines,
            f"Port {self.port}",
            f"ListenAddress {self.host}",
            f"HostKey {at}/host_key",
            f"TrustedUserCAKeys {at}/user_ca.pub",
            f"AuthorizedPrincipalsCommand /bin/echo %u@{self.name}",
            f"AuthorizedPrincipalsCommandUser {'nobody' if ME == 'root' else ME}",
            "AuthorizedKeysFile none",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UsePAM no",
            "StrictModes no",
            f"PidFile {at}/pid",
            "Subsystem sftp internal-sftp",
            "PrintMotd no",
            "LogLevel VERBOSE",
        ]
        if self._certify_host:
            config.append(f"HostCertificate {at}/host_key-cert.pub")
        if self._krl:
            config.append(f"RevokedKeys {at}/krl")
        (at / "sshd_config").write_text("\n".join(config) + "\n")

    def _run(self) -> bool:
        """Start it once; false if the port was taken meanwhile."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", self.directory / "sshd_config"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self._process.poll() is not None:
                if "Address already in use" in self.log():
                    return False
                break
            if f"Server listening on {self.host} port {self.port}" in self.log():
                return True
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"sshd did not start:\n{self.log()}")


def ssh(
    server: Sshd,
    *command: str,
    key: Path,
    certificate: str = "",
    known_hosts: str,
    login: str = ME,
    options: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a command on the server with plain `ssh` that asks nobody anything and trusts `known_hosts` alone."""
    (server.directory / "known_hosts").write_text(known_hosts + "\n")
    arguments = ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    arguments += ["-o", f"UserKnownHostsFile={server.directory}/known_hosts", "-o", "GlobalKnownHostsFile=none"]
    arguments += ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "ConnectTimeout=10", "-i", str(key)]
    if certificate:
        file = server.directory / "client-cert.pub"
        file.write_text(certificate + "\n")
        arguments += ["-o", f"CertificateFile={file}"]
    for option in options:
        arguments += ["-o", option]
    return subprocess.run(
        ["ssh", *arguments, "-p", str(server.port), f"{login}@{server.host}", *(command or ("true",))],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((Sshd.host, 0))
        return int(free.getsockname()[1])
