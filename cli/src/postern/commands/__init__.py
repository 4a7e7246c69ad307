"""The command tree: one file per verb or family, put together here."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Annotated

import typer

from postern import names, run
from postern.commands import admin, apps, cert, confirm, login, ls, sessions, ssh, why
from postern.output import Format
from postern.run import Run
from postern.step_up import NO_INPUT

HELP = """Sign in once, then use plain ssh and your private web apps.

\b
  postern login https://access.example.com
  postern ls
  postern ssh root@db-1
  postern app open grafana

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 sign-in needed, 4 denied.
"""

app = typer.Typer(
    name="postern",
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def root(
    context: typer.Context,
    url: Annotated[
        str, typer.Option("--url", envvar="POSTERN_URL", help="The broker's address.", show_default=False)
    ] = "",
    form: Annotated[Format, typer.Option("--output", "-o", help="How to print answers.")] = Format.TEXT,
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Ask for no second factor; fail where one is wanted.")
    ] = False,
) -> None:
    if no_input:
        os.environ[NO_INPUT] = "1"  # which ssh hands on to its ProxyCommand
    context.obj = Run(url=url, form=form)


@app.command()
def version(context: typer.Context, form: run.Output = None) -> None:
    """Print the version."""
    number = metadata.version("postern")
    run.of(context).show({"version": number}, lambda: f"postern {number}")


@app.command("ssh-proxy", hidden=True)
def ssh_proxy(context: typer.Context, user: str, host: str) -> int:
    """ssh's ProxyCommand; the generated ssh_config starts it without this program's weight."""
    from postern import ssh_proxy

    home = run.of(context).home
    session = home.session()
    suffix = session.suffix if session else names.DEFAULT_SUFFIX
    os._exit(ssh_proxy.main([str(home.path), suffix, user, host]))


for part in (login, confirm, ls, ssh, why):
    part.register(app)
app.add_typer(cert.app, name="cert")
app.add_typer(apps.app, name="app")
app.add_typer(sessions.app, name="sessions")
app.add_typer(admin.app, name="admin")
