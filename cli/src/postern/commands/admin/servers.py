"""admin servers: the script that makes a server trust the broker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from postern import output, run
from postern.commands.admin import documents
from postern.errors import UsageProblem

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List and enrol servers.")


@app.command("ls")
def list_servers(context: typer.Context, form: run.Output = None) -> None:
    """List servers.

    \b
    postern admin servers ls
    """
    documents.get(context, "server", form)


@app.command()
def enroll(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SERVER")],
    host_key: Annotated[
        Path | None,
        typer.Option(
            "--host-key", help="The server's public host key, when it cannot reach the broker.", show_default=False
        ),
    ] = None,
    form: run.Output = None,
) -> None:
    """Print the script that makes an OpenSSH server trust the broker; run it there as root.

    \b
    postern admin servers enroll db-1 | ssh root@db-1.internal sh
    postern admin servers enroll db-1 --host-key ssh_host_ed25519_key.pub > enroll.sh
    """
    ran = run.of(context)
    body = {"host_key": _public(host_key)} if host_key else {}
    answer = ran.broker().post("admin", "servers", name, "enroll", body=body)
    ran.show(answer, lambda: str(answer["script"]))
    if answer.get("expires_at"):
        output.note(f"the script holds a secret that works once, {output.valid_until(answer['expires_at'])}")


def _public(file: Path) -> str:
    try:
        text = file.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise UsageProblem(
            f"cannot read {file}", "give the server's public host key, like ssh_host_ed25519_key.pub"
        ) from None
    if "PRIVATE KEY" in text:
        raise UsageProblem(f"{file} is a private key", "give the .pub file; the private half stays on the server")
    return text
