"""admin apply: make the broker hold what the files say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from postern import documents, output, plan, run
from postern.client import Broker
from postern.errors import UsageProblem


def register(app: typer.Typer) -> None:
    app.command()(apply)


def apply(
    context: typer.Context,
    files: Annotated[list[str] | None, typer.Option("--file", "-f", help="File, directory, or - for stdin.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what the files no longer hold.")] = False,
    yes: run.Yes = False,
    form: run.Output = None,
) -> None:
    """Apply roles, bindings, users, groups, apps and servers from YAML: all of it, or nothing.

    \b
    postern admin apply -f policy/ --dry-run
    postern admin apply -f policy/ --prune
    generate | postern admin apply -f -
    """
    if not files:
        raise UsageProblem("which files?", "write it like: postern admin apply -f policy/")
    ran = run.of(context)
    found = documents.read_all(files)
    broker = ran.broker()
    if prune and not dry_run:
        _confirm_removals(broker, found, yes)
    answer = send(broker, found, dry_run=dry_run, prune=prune, confirm=prune and not dry_run)
    ran.show(answer, lambda: output.safe(plan.text(answer, dry_run=dry_run)))


def send(broker: Broker, found: list[dict[str, str]], **how: bool) -> Mapping[str, Any]:
    """One call of the apply API."""
    answer: Mapping[str, Any] = broker.post(
        "admin", "apply", body={"documents": found, "dry_run": False, "prune": False} | how
    )
    return answer


def _confirm_removals(broker: Broker, found: list[dict[str, str]], yes: bool) -> None:
    """Show what would go and ask; nothing is asked when nothing goes."""
    preview = send(broker, found, dry_run=True, prune=True)
    gone = plan.removed(preview)
    if not gone or yes:
        return
    output.note(plan.text(preview, dry_run=True))
    run.confirm(f"remove {len(gone)} ({', '.join(gone[:10])}{' …' if len(gone) > 10 else ''}) and apply the rest?", yes)
