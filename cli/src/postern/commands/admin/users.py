"""admin users: invite, disable, enable, reset the second factor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from postern import output, run
from postern.commands.admin import documents

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Invite, disable, enable people; reset their second factor."
)

Name = Annotated[str, typer.Argument(metavar="USER")]


@app.command("ls")
def list_users(context: typer.Context, form: run.Output = None) -> None:
    """List users.

    \b
    postern admin users ls
    """
    documents.get(context, "user", form)


@app.command()
def invite(context: typer.Context, name: Name, form: run.Output = None) -> None:
    """Print a link with which a user sets password and second factor: one use, one hour.

    \b
    postern admin users invite alice
    """
    ran = run.of(context)
    answer = ran.broker().post("admin", "users", name, "invite")
    ran.show(answer, lambda: _link(name, answer))


@app.command()
def disable(context: typer.Context, name: Name, yes: run.Yes = False, form: run.Output = None) -> None:
    """Disable a user: every session of theirs ends at once.

    \b
    postern admin users disable bob
    """
    run.confirm(f"disable {name} and end every session of theirs?", yes)
    ran = run.of(context)
    answer = ran.broker().post("admin", "users", name, "disable") or {}
    ran.show(answer, lambda: f"disabled {name}{output.ending(documents.count_of(answer))}")


@app.command()
def enable(context: typer.Context, name: Name, form: run.Output = None) -> None:
    """Enable a user again.

    \b
    postern admin users enable bob
    """
    ran = run.of(context)
    answer = ran.broker().post("admin", "users", name, "enable") or {}
    ran.show(answer, lambda: f"enabled {name}")


@app.command("reset-mfa")
def reset_mfa(context: typer.Context, name: Name, yes: run.Yes = False, form: run.Output = None) -> None:
    """Remove a user's second factors, end their sessions, and print a link with which they enrol a new one.

    \b
    postern admin users reset-mfa alice
    """
    run.confirm(f"remove all second factors of {name} and end their sessions?", yes)
    ran = run.of(context)
    answer = ran.broker().post("admin", "users", name, "reset-mfa")
    gone = f"removed the second factors of {name}{output.ending(documents.count_of(answer))}"
    ran.show(answer, lambda: f"{gone}\n{_link(name, answer)}")


def _link(name: str, answer: Mapping[str, Any]) -> str:
    return f"{answer['url']}\n{output.valid_until(answer.get('expires_at'))}, for one use; tell nobody but {name}"
