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
    """Ask to remove a user's second factors and end their sessions; print a link with which they enrol a new one.

    It takes effect when another administrator approves it, or after a while (POSTERN_RESET_DELAY).

    \b
    postern admin users reset-mfa alice
    """
    run.confirm(f"remove all second factors of {name} and end their sessions?", yes)
    ran = run.of(context)
    answer = ran.broker().post("admin", "users", name, "reset-mfa") or {}
    ran.show(answer, lambda: _reset(name, answer))


@app.command("approve-reset")
def approve_reset(context: typer.Context, name: Name, yes: run.Yes = False, form: run.Output = None) -> None:
    """Approve a reset that another administrator asked for: it takes effect at once.

    \b
    postern admin users approve-reset alice
    """
    run.confirm(f"remove all second factors of {name} and end their sessions, now?", yes)
    ran = run.of(context)
    answer = ran.broker().post("admin", "users", name, "approve-reset") or {}
    gone = f"removed the second factors of {name}"
    ran.show(answer, lambda: f"{gone}{output.ending(documents.count_of(answer))}")


@app.command("cancel-reset")
def cancel_reset(context: typer.Context, name: Name, form: run.Output = None) -> None:
    """Take a reset that waits back: nothing is lost, its link is dead.

    \b
    postern admin users cancel-reset alice
    """
    ran = run.of(context)
    ran.broker().post("admin", "users", name, "cancel-reset")
    ran.show({}, lambda: f"the reset of {name} is taken back")


def _reset(name: str, answer: Mapping[str, Any]) -> str:
    said = f"removed the second factors of {name}{output.ending(documents.count_of(answer))}"
    if seconds := output.seconds_of(answer.get("waits_until")):
        said = (
            f"the reset of {name} waits for another administrator's approval, or until {output.moment(seconds)}\n"
            f"they are told, and can refuse it; approve with: postern admin users approve-reset {name}"
        )
    if not answer.get("url"):
        return f"{said}\nthey enrol a new one when they next sign in at their provider or directory"
    return f"{said}\n{_link(name, answer)}"


def _link(name: str, answer: Mapping[str, Any]) -> str:
    return f"{answer['url']}\n{output.valid_until(answer.get('expires_at'))}, for one use; tell nobody but {name}"
