"""A real OpenLDAP on free loopback ports: people, groups (nested ones too), memberOf, syncprov; TLS if given a key.

    with Slapd() as directory:
        directory.leave_group("sre", "alice")

Started as root it runs as `nobody`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

SLAPD = shutil.which("slapd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or "/usr/sbin/slapd"
SCHEMA = Path("/etc/ldap/schema")
BASE = "dc=example,dc=com"
PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"
ADMIN = f"cn=admin,{BASE}"
ADMIN_PASSWORD = "admin-pw"
READER = f"cn=reader,{BASE}"
READER_PASSWORD = "reader-pw"
START_SECONDS = 15.0

CONFIG = """\
{tls}include {schema}/core.schema
include {schema}/cosine.schema
include {schema}/nis.schema
include {schema}/inetorgperson.schema
{more}
pidfile {at}/slapd.pid
argsfile {at}/slapd.args
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
moduleload syncprov
database mdb
maxsize 268435456
suffix {base}
rootdn {admin}
rootpw {password}
directory {at}/db
dbnosync
index objectClass,entryCSN,entryUUID,uid,mail,member,memberOf eq
access to attrs=userPassword by anonymous auth by self write by * none
access to * by users read by * none
overlay memberof
memberof-refint TRUE
overlay ppolicy
{syncprov}
"""

ENTRIES = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {READER_PASSWORD}

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups
"""


def password_of(name: str) -> str:
    """What somebody of the cast types."""
    return f"{name} in the directory"


def person(name: str, *more: str) -> str:
    """The LDIF of somebody of the cast."""
    lines = [
        f"dn: uid={name},{PEOPLE}",
        "objectClass: inetOrgPerson",
        f"uid: {name}",
        f"cn: {name.capitalize()} Example",
        "sn: Example",
        f"mail: {name}@example.com",
        f"userPassword: {password_of(name)}",
        *more,
    ]
    return "\n".join(lines)


def group(name: str, *members: str) -> str:
    """The LDIF of a group; members are names of people, or DNs."""
    lines = [f"dn: cn={name},{GROUPS}", "objectClass: groupOfNames", f"cn: {name}"]
    return "\n".join([*lines, *(f"member: {dn(member)}" for member in members)])


def dn(name: str) -> str:
    """The DN of somebody, if it is not one already."""
    return name if "=" in name else f"uid={name},{PEOPLE}"


CAST = (
    person("alice"),
    person("bob"),
    person("charlie"),
    group("sre", "alice"),
    group("auditors", "bob"),
    group("staff", f"cn=sre,{GROUPS}", "bob"),
)


class Slapd:
    """One server. `tls` is (certificate, key, authority), PEM files. `port` 0: a free one; it stays the same later."""

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        tls: tuple[Path, Path, Path] | None = None,
        syncprov: bool = True,
        entries: Sequence[str] = CAST,
        more: Sequence[str] = (),
    ) -> None:
        # Not below the test's own directory, which `nobody` cannot enter.
        self.directory = Path(tempfile.mkdtemp(prefix="ptn-slapd-"))
        self.port, self.tls_port = free_port(), free_port()
        self._tls, self._syncprov, self._entries, self._more = tls, syncprov, entries, more
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ldap://{self.host}:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://{self.host}:{self.tls_port}"

    def start(self) -> None:
        """Begin with an empty directory and fill it."""
        (self.directory / "db").mkdir()
        tls = ""
        if self._tls:
            names = ("TLSCertificateFile", "TLSCertificateKeyFile", "TLSCACertificateFile")
            for name, source in zip(names, self._tls, strict=True):
                copy = self.directory / name
                copy.write_bytes(source.read_bytes())
                tls += f"{name} {copy}\n"
        text = CONFIG.format(
            tls=tls,
            schema=SCHEMA,
            at=self.directory,
            base=BASE,
            admin=ADMIN,
            password=ADMIN_PASSWORD,
            syncprov="overlay syncprov" if self._syncprov else "",
            more="\n".join(self._more),
        )
        (self.directory / "slapd.conf").write_text(text)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "nobody:nogroup", self.directory], check=True)
        self.go_on()
        self.add(ENTRIES, *self._entries)

    def go_on(self) -> None:
        """Start, with what was in it before."""
        become = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        urls = self.url + (f" {self.tls_url}" if self._tls else "")
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*become, SLAPD, "-f", self.directory / "slapd.conf", "-h", urls, "-d", "stats"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            if self._client("ldapwhoami").returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError(f"slapd did not start:\n{self.log()[-3000:]}")

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the server; what is in it stays until the next `go_on`."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Let it hang: it takes connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def add(self, *entries: str) -> None:
        self._must("ldapadd", "\n\n".join(entries))

    def modify(self, *lines: str) -> None:
        """One change, as LDIF."""
        self._must("ldapmodify", "\n".join(lines))

    def delete(self, entry: str) -> None:
        self._must("ldapdelete", more=[entry])

    def leave_group(self, name: str, who: str) -> None:
        self.modify(f"dn: cn={name},{GROUPS}", "changetype: modify", "delete: member", f"member: {dn(who)}")

    def join_group(self, name: str, who: str) -> None:
        self.modify(f"dn: cn={name},{GROUPS}", "changetype: modify", "add: member", f"member: {dn(who)}")

    def change_places(self, name: str, comes: str, goes: str) -> None:
        """One joins a group and another leaves it (a `groupOfNames` has a member at all times)."""
        self.join_group(name, comes)
        self.leave_group(name, goes)

    def lock(self, who: str) -> None:
        """As an administrator does it with the ppolicy overlay."""
        locked = "pwdAccountLockedTime: 000001010000Z"
        self.modify(f"dn: {dn(who)}", "changetype: modify", "add: pwdAccountLockedTime", locked)

    def unlock(self, who: str) -> None:
        self.modify(f"dn: {dn(who)}", "changetype: modify", "delete: pwdAccountLockedTime")

    def log(self) -> str:
        """What it was asked (`stats`)."""
        return (self.directory / "log").read_text(errors="replace")

    def binds_of(self, name: str) -> int:
        """How often somebody tried to bind as that DN so far."""
        return self.log().lower().count(f'bind dn="{dn(name).lower()}"')

    def __enter__(self) -> Slapd:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _must(self, program: str, text: str = "", more: Sequence[str] = ()) -> None:
        done = self._client(program, text, more)
        assert done.returncode == 0, f"{program}: {done.stderr}"

    def _client(self, program: str, text: str = "", more: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        command = [program, "-x", "-H", self.url, "-D", ADMIN, "-w", ADMIN_PASSWORD, *more]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=30)


def free_port() -> int:
    with socket.socket() as free:
        free.bind((Slapd.host, 0))
        return int(free.getsockname()[1])
