"""The files ssh reads: ssh_config and known_hosts. Pure functions of names that have been checked."""

from __future__ import annotations

import re
import shlex

from postern.errors import CliError

_KEY = re.compile(r"(?:ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa) [A-Za-z0-9+/]+={0,2}")
_CERTIFICATE = re.compile(r"[a-z0-9@.-]{1,64}-cert-v01@openssh\.com [A-Za-z0-9+/]+={0,2}(?: [ -~]*)?\n?")


def is_certificate(text: str) -> bool:
    """Whether `text` is one line with one OpenSSH certificate."""
    return _CERTIFICATE.fullmatch(text) is not None


def known_hosts(host_ca: list[str], suffix: str) -> str:
    """known_hosts that trusts the host CA's keys for `*.SUFFIX`, on whatever port, and nothing else."""
    keys = [" ".join(key.split()[:2]) for key in host_ca]
    if not all(_KEY.fullmatch(key) for key in keys):
        raise CliError("the broker's host CA key is not usable", "are the CLI and the broker of one version?")
    return "".join(f"@cert-authority *.{suffix},[*.{suffix}]:* {key}\n" for key in keys)


def ssh_config(home: str, key: str, suffix: str, python: str, proxy: str) -> str:
    """ssh_config for `*.SUFFIX`. ssh reads CertificateFile after the ProxyCommand is done, thanks to ProxyUseFdpass.

    The first two blocks keep a quote in a name out of the shell that ssh runs ProxyCommand with; newer ssh refuses such
    names by itself.
    """
    command = " ".join(shlex.quote(word) for word in (python, "-I", "-S", "-E", proxy, home, suffix)).replace("%", "%%")
    return f"""\
# Written by postern, and again at each login. Do not edit: your own settings go into ~/.ssh/config.
Host "*'*.{suffix}"
    ProxyCommand false
Match originalhost "*.{suffix}" user "*'*"
    ProxyCommand false
Host *.{suffix}
    ProxyCommand {command} '%r' '%n'
    ProxyUseFdpass yes
    IdentityFile {quoted(key)}
    CertificateFile {quoted(home, "/certs/%r@%n-cert.pub")}
    IdentitiesOnly yes
    PreferredAuthentications publickey
    UserKnownHostsFile {quoted(home, "/known_hosts")}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    CheckHostIP no
    CanonicalizeHostname no
    # Each connection is decided anew; a shared one would outlive its permission.
    ControlMaster no
    ControlPath none
"""


def quoted(path: str, tail: str = "") -> str:
    """A path as ssh_config wants it; `tail` may hold ssh's % tokens. Raises `CliError` for what cannot be written."""
    if any(character in path for character in '"\n\r\\') or not path.isprintable():
        raise CliError(f"ssh cannot be told of the path {path!r}", "name a directory without quotes in POSTERN_HOME")
    return f'"{path.replace("%", "%%")}{tail}"'


def include_line(config: str) -> str:
    """The one line that goes to the top of ~/.ssh/config."""
    return f"Include {quoted(config)}"
