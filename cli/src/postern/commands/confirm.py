"""confirm: give the second factor again, before something asks for it."""

from __future__ import annotations

from typing import Annotated

import typer

from postern import run, step_up


def register(app: typer.Typer) -> None:
    app.command()(confirm)


def confirm(
    context: typer.Context,
    browser: Annotated[bool, typer.Option("--browser", help="In the browser, whatever else is possible.")] = False,
) -> None:
    """Confirm that it is you with your second factor, for what asks for a fresh one.

    \b
    postern confirm
    postern confirm --browser      with a passkey or security key
    """
    broker = run.of(context).broker()
    ways = broker.get("confirm")
    with step_up.terminal(unless=browser) as terminal:
        step_up.confirm(broker, ways, "confirm that it is you", terminal)
    print("confirmed: what wants a second factor of its own may be started within 5 minutes")
