"""admin get, admin rm: documents by kind and name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from postern import output, run
from postern.errors import UsageProblem
from postern.output import Format

KINDS = {"role": "role", "binding": "role_binding", "role_binding": "role_binding"} | {
    kind: kind for kind in ("user", "group", "app", "server", "oidc", "ldap", "scim")
}
KNOWN = ", ".join(dict.fromkeys(KINDS.values()))
Target = Annotated[str, typer.Argument(metavar="KIND/NAME", help=f"KIND is one of {KNOWN}.")]


COLUMNS = {
    "user": {"Full name": "spec.full_name", "E-mail": "spec.email", "Groups": "spec.groups"},
    "role_binding": {"Expires": "spec.expires", "Reason": "spec.reason"},
    "app": {"Upstream": "spec.uri", "Labels": "metadata.labels", "Description": "metadata.description"},
    "server": {"Address": "spec.addr", "Labels": "metadata.labels", "Description": "metadata.description"},
    "oidc": {"Issuer": "spec.issuer", "State": "spec.enabled", "Shown as": "spec.display"},
    "ldap": {"Servers": "spec.urls", "State": "spec.enabled", "Shown as": "spec.display"},
    "scim": {"Identities of": "spec.identities_of", "State": "spec.enabled", "Shown as": "spec.display"},
}
"""What a table of a kind shows after the name, and where a document has it."""


def register(app: typer.Typer) -> None:
    app.command()(get)
    app.command()(rm)


def parted(target: str, name_needed: bool = True) -> tuple[str, str]:
    """(kind, name) of `role/dev`, `roles`, `binding/x`; raises `UsageProblem`."""
    kind, _, name = target.partition("/")
    kind = KINDS.get(kind) or KINDS.get(kind.removesuffix("s"), "")
    if not kind:
        raise UsageProblem(f"{target!r} begins with no kind of document", f"kinds: {KNOWN}")
    if name_needed and not name:
        raise UsageProblem(f"which {kind}?", f"write it like {kind}/NAME; list them with: postern admin get {kind}")
    return kind, name


def get(
    context: typer.Context, target: Annotated[str, typer.Argument(metavar="KIND[/NAME]")], form: run.Output = None
) -> None:
    """Print documents: a table of a kind, or one as YAML that can be applied again.

    \b
    postern admin get roles
    postern admin get role/dev > dev.yaml
    postern admin get app -o yaml
    """
    kind, name = parted(target, name_needed=False)
    ran = run.of(context)
    if name:
        document = ran.broker().get("admin", kind, name)
        ran.show(document, lambda: output.yaml_text(document))
        return
    items = ran.broker().items("admin", kind)
    if ran.form is Format.YAML:
        print("---\n".join(output.yaml_text(item) for item in items), end="")
    else:
        ran.show(items, lambda: text(items))


def text(items: Sequence[Mapping[str, Any]]) -> str:
    """Documents of one kind as a table: the name, then what tells one from another."""
    if not items:
        return "none yet; make some with: postern admin apply -f FILE"
    columns = COLUMNS.get(str(items[0].get("kind")), {}) or {
        "Labels": "metadata.labels",
        "Description": "metadata.description",
    }
    rows = [(_at(item, "metadata.name"), *(_cell(item, path) for path in columns.values())) for item in items]
    return output.table(("Name", *columns), rows)


def _cell(item: Mapping[str, Any], path: str) -> object:
    found = _at(item, path)
    if path == "spec.enabled":  # what is not said is on
        return "off" if found is False else "on"
    return found or ""


def _at(item: Mapping[str, Any], path: str) -> object:
    found: Any = item
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def rm(context: typer.Context, target: Target, yes: run.Yes = False, form: run.Output = None) -> None:
    """Remove a document, after saying which sessions that ends.

    \b
    postern admin rm role/dev
    """
    kind, name = parted(target)
    ran = run.of(context)
    broker = ran.broker()
    if not yes:
        would = broker.delete("admin", kind, name, dry_run="true")
        run.confirm(f"remove {kind} {name}, which ends {output.sessions(count_of(would))}?", yes)
    answer = broker.delete("admin", kind, name) or {}
    ran.show(answer, lambda: f"removed {kind} {name}{output.ending(count_of(answer))}")


def count_of(answer: Mapping[str, Any] | None) -> int:
    """How many sessions an answer says end."""
    ends = (answer or {}).get("ends_sessions") or 0
    return len(ends) if isinstance(ends, list) else int(ends)
