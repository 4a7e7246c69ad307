"""cert: certificates as files, for programs that do not read ssh_config, and a look at those on disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from postern import certificate_cache, names, output, renew, run, ssh_files
from postern.errors import CliError, UsageProblem
from postern.state import write_atomically

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show and fetch SSH certificates.")

Key = Annotated[Path | None, typer.Option("--key", help="The public key to certify.", show_default="the login's key")]
Out = Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="standard output")]


@app.command()
def show(context: typer.Context, form: run.Output = None) -> None:
    """List the certificates on this machine.

    \b
    postern cert show
    """
    ran = run.of(context)
    found = []
    for file in sorted((ran.home.path / "certs").glob("*-cert.pub")):
        if cached := certificate_cache.read(str(file)):
            name = file.name.removesuffix("-cert.pub")
            found.append(
                {
                    "for": name,
                    "valid_before": cached.until,
                    "address": cached.address,
                    "port": cached.port,
                    "file": str(file),
                }
            )
    ran.show(found, lambda: _table(found))


def _table(found: list[dict[str, Any]]) -> str:
    if not found:
        return "none; ssh fetches them when it needs them"
    now = time.time()
    rows = [
        (each["for"], f"{each['address']}:{each['port']}", output.valid_until(each["valid_before"], now))
        for each in found
    ]
    return output.table(("Certificate", "Server at", "Valid until"), rows)


@app.command()
def access(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="LOGIN@SERVER", help="Whom to log in as, where.")],
    key: Key = None,
    out: Out = None,
    form: run.Output = None,
) -> None:
    """Fetch a certificate for one login on one server, good for five minutes.

    \b
    postern cert access root@db-1 --key id.pub --out id-cert.pub
    """
    login, at, server = target.rpartition("@")
    if not at or not names.is_login(login) or not names.is_server(server):
        raise UsageProblem(f"{target[:120]!r} is not LOGIN@SERVER", "write it like root@db-1")
    ran = run.of(context)
    body = {"server": server, "login": login, "public_key": _public_key(ran, key)}
    _deliver(ran, ran.broker().post("certificates", "access", body=body), out)


@app.command()
def identity(context: typer.Context, key: Key = None, out: Out = None, form: run.Output = None) -> None:
    """Fetch a certificate that says who you are, good for an hour; it opens no server by itself.

    \b
    postern cert identity --out me-cert.pub
    """
    ran = run.of(context)
    _deliver(ran, ran.broker().post("certificates", "identity", body={"public_key": _public_key(ran, key)}), out)


def _public_key(ran: run.Run, file: Path | None) -> str:
    if file is None:
        return renew.public_key(ran.session())
    try:
        text = file.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise UsageProblem(f"cannot read {file}", "give --key the .pub file") from None
    if "PRIVATE KEY" in text:
        raise UsageProblem(f"{file} is a private key", "give --key the .pub file; the private half stays with you")
    return text


def _deliver(ran: run.Run, answer: Mapping[str, Any], out: Path | None) -> None:
    certificate = str(answer["certificate"]).strip()
    if not ssh_files.is_certificate(certificate):
        raise CliError("the broker's answer is not a certificate", "are the CLI and the broker of one version?")
    if out is None:
        ran.show(answer, lambda: certificate)
        return
    try:
        write_atomically(out.expanduser().absolute(), certificate + "\n")
    except OSError as error:
        raise CliError(f"cannot write {out}: {(error.strerror or '').lower()}") from None
    until = output.valid_until(renew.unix(answer["valid_before"]))
    ran.show(
        {**answer, "file": str(out)},
        lambda: f"{out}: {', '.join(answer['principals'])}, serial {answer['serial']}, {until}",
    )
