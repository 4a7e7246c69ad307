"""The demo's sources of identities, a sample OpenID Provider and a sample directory: their ports and secrets."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from broker.environment import BASE_DIR
from broker.errors import PosternError
from broker.setup.directories import make_private
from broker.setup.samples import free_port

FILES = BASE_DIR / "examples" / "demo"
_SCHEMAS = ("/etc/ldap/schema", "/etc/openldap/schema")
_MODULES = ("/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap")
INSTALL = "Debian, Ubuntu: apt install slapd ldap-utils"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the two listen and how Postern knows them. A port of 0: not wanted. `slapd` is the program's path."""

    directory: Path
    idp_port: int
    ldap_port: int
    kept: Mapping[str, str]
    slapd: str = ""

    @property
    def values(self) -> dict[str, str]:
        """What the documents in `examples/demo` are filled with."""
        return {
            "idp_issuer": f"http://127.0.0.1:{self.idp_port}",
            "idp_secret": self.kept["idp_secret"],
            "ldap_url": f"ldap://127.0.0.1:{self.ldap_port}",
            "ldap_secret": self.kept["ldap_secret"],
        }

    def prepare_directory(self) -> None:
        """Write the directory server's configuration, and fill it the first time. Raises `PosternError`."""
        home = make_private(self.directory / "ldap")
        database = home / "db"
        filled = (database / "data.mdb").exists()
        make_private(database)
        values = {
            **self.values,
            "directory": str(home),
            "schema": _first_of(_SCHEMAS),
            "modules": _first_of(_MODULES),
            "ldap_admin": self.kept["ldap_admin"],
        }
        _write(home / "slapd.conf", Template((FILES / "slapd.conf").read_text()).safe_substitute(values))
        if filled:
            return
        ldif = Template((FILES / "directory.ldif").read_text()).safe_substitute(values)
        add = [str(Path(self.slapd).with_name("slapadd")), "-q", "-f", str(home / "slapd.conf")]
        done = subprocess.run(add, input=ldif, capture_output=True, text=True, timeout=60)
        if done.returncode:
            shutil.rmtree(database)
            raise PosternError("the sample directory could not be filled", done.stderr.strip()[-300:])


def sources_of(directory: Path, *, idp: bool, ldap: bool) -> Sources:
    """The sources wanted, on the ports they had before where those are free. Raises `PosternError` without slapd."""
    slapd = ""
    if ldap:
        slapd = shutil.which("slapd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""
        if not slapd:
            raise PosternError("--demo-ldap starts slapd, which is not installed", INSTALL)
    remembered = directory / "sources.json"
    try:
        kept = {str(name): str(value) for name, value in json.loads(remembered.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        kept = {}
    for name in ("idp_secret", "ldap_secret", "ldap_admin"):
        kept.setdefault(name, secrets.token_urlsafe(24))
    for name, wanted in (("idp_port", idp), ("ldap_port", ldap)):
        if wanted:
            before = kept.get(name, "")
            kept[name] = str(free_port(int(before) if before.isdecimal() else 0))
    _write(remembered, json.dumps(kept))
    return Sources(directory, int(kept["idp_port"]) if idp else 0, int(kept["ldap_port"]) if ldap else 0, kept, slapd)


def _first_of(places: tuple[str, ...]) -> str:
    for place in places:
        if Path(place).is_dir():
            return place
    raise PosternError("slapd is installed without its schemas or modules", INSTALL)


def _write(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)
