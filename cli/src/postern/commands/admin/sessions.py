"""admin sessions: what is in use, who is signed in, and ending a sign-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from postern import output, run
from postern.commands.admin import documents

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List sessions, end sign-ins.")


@app.command("ls")
def list_sessions(
    context: typer.Context,
    login: Annotated[bool, typer.Option("--login", help="Sign-ins instead of uses of apps and servers.")] = False,
    user: Annotated[str, typer.Option(help="Only this user's.")] = "",
    resource: Annotated[str, typer.Option(help="Only of this app or server.")] = "",
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    form: run.Output = None,
) -> None:
    """List access sessions (uses of apps and servers), or with --login the sign-ins behind them.

    \b
    postern admin sessions ls
    postern admin sessions ls --user alice --ended
    postern admin sessions ls --login -o json
    """
    ran = run.of(context)
    kind = "login-sessions" if login else "sessions"
    query = {"user": user, "active": "" if ended else "true"} | ({} if login else {"resource": resource})
    items = ran.broker().items("admin", kind, limit=min(limit, 200), at_most=limit, **query)
    ran.show(items, lambda: login_text(items) if login else access_text(items))


def access_text(items: Sequence[Mapping[str, Any]]) -> str:
    """Access sessions as a table."""
    rows = [
        (
            item["id"],
            item.get("user"),
            f"{item['login']}@{item.get('resource')}" if item.get("login") else item.get("resource"),
            item.get("protocol"),
            item.get("address"),
            output.ago(item.get("started_at")),
            f"ended {output.ago(item['ended_at'])}"
            if item.get("ended_at")
            else output.valid_until(item.get("expires_at")),
        )
        for item in items
    ]
    return (
        output.table(("ID", "User", "Resource", "Protocol", "From", "Started", "Until"), rows)
        if rows
        else "no sessions"
    )


def login_text(items: Sequence[Mapping[str, Any]]) -> str:
    """Login sessions as a table."""
    rows = [
        (
            item["id"],
            item.get("user"),
            item.get("kind"),
            item.get("address"),
            item.get("device_name"),
            output.ago(item.get("started_at")),
            f"ended {output.ago(item['ended_at'])}"
            if item.get("ended_at")
            else output.valid_until(item.get("expires_at")),
        )
        for item in items
    ]
    return (
        output.table(("ID", "User", "Kind", "From", "Device", "Started", "Until"), rows)
        if rows
        else "nobody is signed in"
    )


@app.command()
def end(
    context: typer.Context,
    session: Annotated[str, typer.Argument(metavar="ID")],
    yes: run.Yes = False,
    form: run.Output = None,
) -> None:
    """End a sign-in and every use of apps and servers that rests on it.

    \b
    postern admin sessions end 6d0c2b1e-…
    """
    run.confirm(f"end login session {session} and everything opened with it?", yes)
    ran = run.of(context)
    answer = ran.broker().delete("admin", "login-sessions", session) or {}
    ran.show(answer, lambda: f"ended {output.sessions(documents.count_of(answer))}")
