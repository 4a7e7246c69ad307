"""The key that certificates are made for: a new one per login, or a security key's that the user has."""

from __future__ import annotations

import subprocess
from pathlib import Path

from postern.errors import CliError, UsageProblem
from postern.state import Home


def make(home: Home, comment: str) -> str:
    """Make an ed25519 key in the state directory, replacing the last login's; the private key's path."""
    home.prepare()
    beside = home.key.with_name(".new")
    for file in (beside, beside.with_name(".new.pub")):
        file.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(beside)]
    try:
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise CliError("there is no ssh-keygen", "install the OpenSSH client") from None
    except subprocess.CalledProcessError as error:
        raise CliError(f"ssh-keygen failed: {error.stderr.decode(errors='replace').strip()}") from None
    beside.with_name(".new.pub").replace(home.key.with_name(home.key.name + ".pub"))
    beside.replace(home.key)
    return str(home.key)


def own(public: Path) -> str:
    """The private path of a key the user already has, given its `.pub`; the private half may live in a security key."""
    public = public.expanduser().absolute()
    if public.suffix != ".pub":
        public = public.with_name(public.name + ".pub")
    private = public.with_suffix("")
    for file in (public, private):
        if not file.is_file():
            raise UsageProblem(
                f"there is no {file}", "give --key the .pub file of a key whose other half lies beside it"
            )
    return str(private)
