"""ssh, ssh-config: plain OpenSSH with certificates fetched on the way."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
import time
from typing import Annotated

import typer

from postern import certificate_cache, names, output, renew, run, ssh_setup
from postern.certificate_cache import ENOUGH
from postern.errors import CliError, Unreachable, UsageProblem
from postern.names import DEFAULT_SUFFIX
from postern.state import Home

TAKES_VALUE = frozenset("BbcDEeFIiJLlmOoPpQRSWw")
"""ssh's options with an argument of their own."""


def register(app: typer.Typer) -> None:
    app.command(
        context_settings={
            "ignore_unknown_options": True,
            "allow_interspersed_args": False,
            "help_option_names": ["--help"],
        }
    )(ssh)
    app.command("ssh-config")(ssh_config)


def ssh(
    context: typer.Context,
    arguments: Annotated[
        list[str], typer.Argument(metavar="[SSH OPTIONS] [USER@]SERVER [COMMAND]...", show_default=False)
    ],
) -> None:
    """Open a shell or run a command on a server. All of ssh's options work.

    \b
    postern ssh root@db-1
    postern ssh root@db-1 systemctl status postgresql
    postern ssh -L 5432:localhost:5432 root@db-1
    """
    ran = run.of(context)
    session = ran.session()
    renew.public_key(session)
    ssh_setup.write_config(ran.home, session.key, session.suffix)
    program = shutil.which("ssh")
    if program is None:
        raise CliError("there is no ssh", "install the OpenSSH client")
    command = ["ssh", "-F", str(ran.home.ssh_config), *with_host(arguments, session.suffix)]
    _see_to_certificate(ran.home, arguments, session.suffix)
    sys.stdout.flush()
    os.execv(program, command)  # noqa: S606 - no shell is wanted


def _see_to_certificate(home: Home, arguments: list[str], suffix: str) -> None:
    """Fetch the certificate before ssh would, so that a denial is told in full and with our own exit code.

    Where ssh's options name the login, ssh's ProxyCommand sees to it, as it does for plain ssh.
    """
    place = _destination(arguments)
    user, at, server = arguments[place].rpartition("@")
    if not at and any(word.startswith(("-l", "-o")) for word in arguments[:place]):
        return
    login = user if at else getpass.getuser()
    host = f"{server.removesuffix('.' + suffix)}.{suffix}"
    found = certificate_cache.read(certificate_cache.path_of(str(home.path), login, host))
    if found is not None and found.until - time.time() >= ENOUGH:
        return
    try:
        renew.fetch(home, login, host.removesuffix("." + suffix), host)
    except Unreachable:
        if found is None or found.until <= time.time() + 5:
            raise


def with_host(arguments: list[str], suffix: str) -> list[str]:
    """ssh's arguments with `[user@]server` made into the host name that the configuration knows."""
    place = _destination(arguments)
    user, at, server = arguments[place].rpartition("@")
    server = server.removesuffix("." + suffix)
    if not names.is_server(server):
        raise UsageProblem(f"{server[:80]!r} is not a server's name", "list yours with: postern ls servers")
    if at and not names.is_login(user):
        raise UsageProblem(f"{user[:80]!r} is not a login", "write it like root@db-1")
    return [*arguments[:place], f"{user}{at}{server}.{suffix}", *arguments[place + 1 :]]


def _destination(arguments: list[str]) -> int:
    """Where in ssh's arguments the destination stands: the first that is neither an option nor an option's value."""
    n = 0
    while n < len(arguments):
        word = arguments[n]
        if word == "--":
            n += 1
            break
        if len(word) < 2 or not word.startswith("-"):
            break
        letters = word[1:]
        taking = next((k for k, letter in enumerate(letters) if letter in TAKES_VALUE), None)
        if taking is not None and letters[taking] == "F":
            raise UsageProblem(
                "-F cannot be used here", "with your own configuration use plain ssh; see: postern ssh-config"
            )
        n += 2 if taking == len(letters) - 1 else 1
    if n >= len(arguments):
        raise UsageProblem("which server?", "write it like: postern ssh root@db-1")
    return n


def ssh_config(
    context: typer.Context,
    install: Annotated[bool, typer.Option("--install", help="Add one Include line to ~/.ssh/config.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Take that line out again.")] = False,
    yes: run.Yes = False,
) -> None:
    """Print ssh's configuration for *.postern, or make plain ssh, scp, sftp, rsync and git use it.

    \b
    postern ssh-config                  print it
    postern ssh-config --install        then: ssh root@db-1.postern
    postern ssh-config --uninstall
    """
    if install and uninstall:
        raise UsageProblem("--install and --uninstall are opposites", "choose one")
    home = run.of(context).home
    session = home.session()
    key, suffix = (session.key, session.suffix) if session else (str(home.key), DEFAULT_SUFFIX)
    if uninstall:
        print("taken out" if ssh_setup.uninstall(home) else "it was not in there")
        return
    if not install:
        print(ssh_setup.config_text(home, key, suffix), end="")
        return
    ssh_setup.write_config(home, key, suffix)
    if ssh_setup.is_installed(home):
        output.note(f"{ssh_setup.user_config()} includes it already")
        return
    run.confirm(f"add one Include line at the top of {ssh_setup.user_config()}?", yes)
    ssh_setup.install(home)
    print(f"done; now this works: ssh LOGIN@SERVER.{suffix}")
