"""ls: what I may open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from postern import run
from postern.output import table


class Kind(StrEnum):
    """What to list."""

    ALL = "all"
    APPS = "apps"
    SERVERS = "servers"


def register(app: typer.Typer) -> None:
    app.command()(ls)


def ls(
    context: typer.Context,
    kind: Annotated[Kind, typer.Argument(help="What to list.")] = Kind.ALL,
    search: Annotated[str, typer.Option(help="Only what has this in its name, labels or description.")] = "",
    form: run.Output = None,
) -> None:
    """List the apps and servers you may use.

    \b
    postern ls
    postern ls servers --search env=prod
    postern ls apps -o json | jq -r '.[].url'
    """
    ran = run.of(context)
    wanted = {Kind.APPS: "app", Kind.SERVERS: "server"}.get(kind)
    items = ran.broker().items("resources", kind=wanted, search=search, limit=200)
    ran.show(items, lambda: text(items, search))


def text(items: Sequence[Mapping[str, Any]], search: str = "") -> str:
    """Apps and servers, a table each."""
    apps = [item for item in items if item["kind"] == "app"]
    servers = [item for item in items if item["kind"] == "server"]
    parts = []
    if apps:
        parts.append(
            table(
                ("App", "Address", "Labels", "Description"),
                [(app["name"], app.get("url"), app.get("labels") or {}, app.get("description")) for app in apps],
            )
        )
    if servers:
        parts.append(
            table(
                ("Server", "Logins", "Labels", "Description"),
                [(s["name"], s.get("logins") or [], s.get("labels") or {}, s.get("description")) for s in servers],
            )
        )
    if not parts:
        return (
            "nothing you may use has that in it"
            if search
            else "nothing is open to you; ask an administrator for a role, or why: postern why ssh.session LOGIN@SERVER"
        )
    return "\n\n".join(parts)
