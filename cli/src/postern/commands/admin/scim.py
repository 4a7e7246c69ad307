"""admin scim-token: what a provisioning client shows at the SCIM door."""

from __future__ import annotations

from typing import Annotated

import typer

from postern import output, run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("scim-token")(scim_token)


def scim_token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="CONNECTOR")],
    yes: run.Yes = False,
    form: run.Output = None,
) -> None:
    """Print a new token for a SCIM client: shown once, and the one before stops working.

    \b
    postern admin scim-token okta
    """
    run.confirm(f"make a new token for {name}? one made before stops working", yes)
    ran = run.of(context)
    answer = ran.broker().post("admin", "connectors", name, "token")
    ran.show(answer, lambda: str(answer["token"]))
    output.note(f"put it into the client with the address {answer['url']}; it is not shown again")
