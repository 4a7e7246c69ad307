"""admin events: the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from postern import output, run


def register(app: typer.Typer) -> None:
    app.command()(events)


def events(
    context: typer.Context,
    name: Annotated[str, typer.Option("--type", help="Like ssh.session.started, or its beginning.")] = "",
    actor: Annotated[str, typer.Option(help="Who did it.")] = "",
    resource: Annotated[str, typer.Option(help="What it was done to.")] = "",
    decision: Annotated[str, typer.Option(help="permit or deny.")] = "",
    search: Annotated[str, typer.Option(help="Any text in it.")] = "",
    since: Annotated[str, typer.Option(help="Like 1h, or 2026-01-31T12:00:00Z.")] = "",
    until: Annotated[str, typer.Option(help="The same.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    form: run.Output = None,
) -> None:
    """Search the audit log, newest first.

    \b
    postern admin events --actor alice --since 24h
    postern admin events --decision deny -o json
    """
    ran = run.of(context)
    query = {"type": name, "actor": actor, "resource": resource, "decision": decision, "search": search}
    query |= {"since": output.point_in_time(since), "until": output.point_in_time(until)}
    items = ran.broker().items("admin", "events", at_most=limit, limit=min(limit, 200), **query)
    ran.show(items, lambda: text(items))


def text(items: Sequence[Mapping[str, Any]]) -> str:
    """Events as a table."""
    rows = [
        (
            output.moment(item.get("at")),
            item.get("type"),
            _name(item.get("actor")),
            _name(item.get("resource")),
            item.get("decision"),
            item.get("reasons") or [],
            item.get("address"),
        )
        for item in items
    ]
    heads = ("Time", "Event", "Actor", "Resource", "Decision", "Reasons", "From")
    return output.table(heads, rows) if rows else "no events like that"


def _name(value: Any) -> str:
    return str(value.get("name") or value.get("id") or "") if isinstance(value, Mapping) else str(value or "")
