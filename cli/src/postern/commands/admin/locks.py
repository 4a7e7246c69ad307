"""admin lock, unlock, locks ls: orders that beat every role."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from postern import output, run
from postern.errors import Missing, UsageProblem

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List locks.")

TARGETS = ("user", "group", "role", "server", "app", "login", "login_session")
_TTL = re.compile(r"(?:\d+[smhd])+")


def register(admin: typer.Typer) -> None:
    admin.command()(lock)
    admin.command()(unlock)


def lock(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(TARGETS)}.")],
    name: Annotated[str, typer.Argument(help="Whom or what.")],
    reason: Annotated[str, typer.Option(help="Why; the locked see it.")] = "",
    ttl: Annotated[str, typer.Option(help="For how long, like 30m, 8h, 7d.", show_default="until lifted")] = "",
    form: run.Output = None,
) -> None:
    """Lock somebody or something out, at once and everywhere.

    \b
    postern admin lock user alice --ttl 1h --reason 'lost laptop'
    postern admin lock server db-1 --reason 'forensics'
    """
    target = {"kind": _kind(kind), "name": name}
    if not reason.strip():
        raise UsageProblem("why?", "add --reason; the people it locks out will see it")
    if ttl and not _TTL.fullmatch(ttl):
        raise UsageProblem(f"{ttl!r} is no length of time", "write it like 30m, 8h or 7d")
    body = {"target": target, "reason": reason} | ({"ttl": ttl} if ttl else {})
    ran = run.of(context)
    made = ran.broker().post("admin", "locks", body=body)
    until = output.valid_until(made["expires_at"]) if made.get("expires_at") else "until lifted"
    ran.show(
        made,
        lambda: (
            f"locked {kind} {name} {until}: {output.safe(reason)} (lock {made['id']})"
            + output.ending(made.get("ends_sessions") or 0)
        ),
    )


def unlock(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="ID | KIND NAME", show_default=False)],
    form: run.Output = None,
) -> None:
    """Lift a lock by its id, or all locks on somebody or something.

    \b
    postern admin unlock user alice
    """
    ran = run.of(context)
    broker = ran.broker()
    if len(words) == 1:
        ids = words
    elif len(words) == 2:
        wanted = (_kind(words[0]), words[1])
        ids = [str(lock["id"]) for lock in broker.items("admin", "locks") if target_of(lock) == wanted]
        if not ids:
            raise Missing(f"there is no lock on {words[0]} {words[1]}", "list them with: postern admin locks ls")
    else:
        raise UsageProblem("too many words", "write it like: postern admin unlock user alice")
    for each in ids:
        broker.delete("admin", "locks", each)
    ran.show({"lifted": ids}, lambda: f"lifted {len(ids)} lock{'' if len(ids) == 1 else 's'}")


@app.command("ls")
def list_locks(context: typer.Context, form: run.Output = None) -> None:
    """List the locks that stand.

    \b
    postern admin locks ls
    """
    ran = run.of(context)
    items = ran.broker().items("admin", "locks")
    ran.show(items, lambda: text(items))


def target_of(lock: Mapping[str, Any]) -> tuple[str, str]:
    """(kind, name) of what a lock is on."""
    target = lock.get("target") or {}
    return str(target.get("kind")), str(target.get("name"))


def text(items: Sequence[Mapping[str, Any]]) -> str:
    """Locks as a table."""
    rows = [
        (
            item["id"],
            " ".join(target_of(item)),
            output.valid_until(item.get("expires_at")),
            item.get("reason"),
            item.get("created_by"),
        )
        for item in items
    ]
    return output.table(("ID", "Locked", "Until", "Reason", "By"), rows) if rows else "no locks"


def _kind(kind: str) -> str:
    kind = kind.replace("-", "_")
    if kind not in TARGETS:
        raise UsageProblem(f"{kind!r} cannot be locked", f"one of: {', '.join(TARGETS)}")
    return kind
