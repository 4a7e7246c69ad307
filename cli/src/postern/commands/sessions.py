"""sessions: where I am signed in, and ending sign-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from postern import output, run
from postern.commands.admin.documents import count_of
from postern.errors import Missing, UsageProblem

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="See where you are signed in, and end sign-ins.")
SHORTEST = 4
"""Characters of an id that may stand for the whole."""


@app.command("ls")
def list_sessions(context: typer.Context, form: run.Output = None) -> None:
    """List where you are signed in: this command line, others, and browsers.

    \b
    postern sessions ls
    postern sessions ls -o json | jq -r '.[] | select(.kind == "browser") | .id'
    """
    ran = run.of(context)
    items = ran.broker().items("sessions")
    ran.show(items, lambda: text(items))


def text(items: Sequence[Mapping[str, Any]], now: float | None = None) -> str:
    """Sign-ins as a table; `*` marks the one that asks."""
    rows = [
        (
            "*" if item.get("current") else "",
            str(item["id"])[:8],
            item.get("device_name"),
            "browser" if item.get("kind") == "browser" else "command line",
            item.get("signed_in_with"),
            output.ago(item.get("mfa_at"), now),
            item.get("last_address") or item.get("address"),
            output.ago(item.get("last_seen_at"), now),
            _uses(item),
        )
        for item in items
    ]
    heads = ("", "ID", "Device", "Kind", "Signed in with", "Second factor", "From", "Last used", "Open")
    return output.table(heads, rows)


def _uses(item: Mapping[str, Any]) -> str:
    names = [f"{use['login']}@{use['resource']}" if use.get("login") else use["resource"] for use in item["uses"]]
    return ", ".join(sorted({str(name) for name in names}))


@app.command()
def end(
    context: typer.Context,
    session: Annotated[str, typer.Argument(metavar="[ID]", help="Its id, or how that begins.")] = "",
    others: Annotated[bool, typer.Option("--others", help="All but this command line.")] = False,
    yes: run.Yes = False,
    form: run.Output = None,
) -> None:
    """End a sign-in of yours and every use of apps and servers that rests on it.

    \b
    postern sessions end 6d0c2b1e
    postern sessions end --others
    """
    if others == bool(session):
        raise UsageProblem("say which session to end", "give an id from: postern sessions ls, or --others")
    ran = run.of(context)
    broker = ran.broker()
    items = broker.items("sessions")
    if others:
        ending = [item for item in items if not item.get("current")]
        run.confirm(f"end your other sign-ins, which ends {output.sessions(_cut(ending))}?", yes)
        answer = broker.delete("sessions", others="true")
    else:
        chosen = _named(items, session)
        run.confirm(f"end {_title(chosen)}, which ends {output.sessions(_cut([chosen]))}?", yes)
        answer = broker.delete("sessions", str(chosen["id"]))
    ran.show(answer, lambda: f"ended {output.sessions(count_of(answer))}")


def _named(items: Sequence[Mapping[str, Any]], text: str) -> Mapping[str, Any]:
    """The sign-in with this id or the beginning of one."""
    found = [item for item in items if str(item["id"]) == text or str(item["id"]).startswith(text.lower())]
    if len(text) < SHORTEST or not found:
        raise Missing(f"you have no session {text}", "list them with: postern sessions ls")
    if len(found) > 1:
        raise UsageProblem(f"{len(found)} sessions begin with {text}", "give more of the id")
    return found[0]


def _title(item: Mapping[str, Any]) -> str:
    """What a sign-in is called in a question."""
    if item.get("current"):
        return "this very sign-in"
    kind = "browser" if item.get("kind") == "browser" else "command line"
    return f"the {kind} {item.get('device_name') or item['id']}"


def _cut(items: Sequence[Mapping[str, Any]]) -> int:
    """How many sessions end with these sign-ins."""
    return sum(1 + len(item["uses"]) for item in items)
