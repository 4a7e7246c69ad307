"""admin edit: a document in $EDITOR, as often as it takes; what was typed is never lost."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import typer

from postern import output, plan, run
from postern.client import Broker, problem_line
from postern.commands.admin.apply import send
from postern.commands.admin.documents import Target, parted
from postern.errors import CliError, Refused


def register(app: typer.Typer) -> None:
    app.command()(edit)


def edit(context: typer.Context, target: Target) -> None:
    """Edit a document in $VISUAL or $EDITOR and apply it. Problems are shown and the editor opens again.

    \b
    postern admin edit role/dev
    """
    kind, name = parted(target)
    ran = run.of(context)
    broker = ran.broker()
    before = broker.get("admin", kind, name)
    text = output.yaml_text(before)
    file = _draft(kind, name, text)
    answer = None
    while answer is None:
        _open_editor(file)
        typed = file.read_text()
        if typed == text:
            file.unlink()
            output.note("nothing was changed")
            return
        try:
            answer = _applied(broker, kind, name, before, typed)
        except CliError as error:
            output.complain(error)
            if (
                isinstance(error, Refused)
                and sys.stdin.isatty()
                and typer.confirm("edit again?", default=True, err=True)
            ):
                continue
            raise CliError("nothing was changed", f"your text is kept in {file}") from None
    file.unlink()
    done = answer
    ran.show(done, lambda: output.safe(plan.text(done, dry_run=False)))


def _draft(kind: str, name: str, text: str) -> Path:
    descriptor, path = tempfile.mkstemp(prefix=f"postern-{kind}-", suffix=".yaml")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return Path(path)


def _open_editor(file: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        ended = subprocess.run([*shlex.split(editor), str(file)], check=False)
    except (OSError, ValueError) as error:
        raise CliError(
            f"cannot start the editor {editor!r}: {error}", f"set EDITOR; your text is kept in {file}"
        ) from None
    if ended.returncode != 0:
        raise CliError(f"the editor ended with {ended.returncode}", f"your text is kept in {file}")


def _applied(broker: Broker, kind: str, name: str, before: Any, typed: str) -> Any:
    """Apply the text, unless it became another document or somebody else was quicker."""
    _check_same(kind, name, typed)
    if broker.get("admin", kind, name) != before:
        raise CliError(f"{kind} {name} was changed by somebody else meanwhile", "start again from what it is now")
    return send(broker, [{"source": f"{kind}/{name}", "text": typed}])


def _check_same(kind: str, name: str, typed: str) -> None:
    import yaml

    try:
        document = yaml.safe_load(typed)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = {"source": f"{kind}/{name}", "line": mark.line + 1 if mark else 0}
        problem = {"message": getattr(error, "problem", None) or "this is not one YAML document", **where}
        raise Refused("this is not YAML", lines=[problem_line(problem)]) from None
    head = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(head, dict) or document.get("kind") != kind or head.get("name") != name:
        raise Refused(
            f"this is not {kind} {name} any more",
            "kind and name must stay; new documents come with: postern admin apply",
        )
