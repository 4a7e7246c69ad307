"""why: the decision on an attempt, and what each role had to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from postern import output, run
from postern.errors import UsageProblem

KINDS = {"ssh": "server", "certificate": "certificate", "console": "console"}
"""The kind of resource that an action of this family is about, where its name is another."""


def register(app: typer.Typer) -> None:
    app.command()(why)


def why(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="[SUBJECT] ACTION [RESOURCE]", show_default=False)],
    path: Annotated[str, typer.Option(help="The path of a web request.")] = "",
    method: Annotated[str, typer.Option(help="The method of a web request.")] = "",
    address: Annotated[str, typer.Option(help="The address it comes from.")] = "",
    form: run.Output = None,
) -> None:
    """Explain a decision: what it is, each role tried, and the first thing that failed in it.

    \b
    postern why alice app.request grafana --path /admin --method POST
    postern why alice ssh.session root@db-1
    postern why ssh.session root@db-1                 about yourself
    """
    user, action, resource = understood(words)
    body: dict[str, Any] = {"action": action, "resource": _resource(action, resource)}
    login, at, _ = resource.rpartition("@")
    given = {"user": user, "path": path, "method": method.upper(), "address": address}
    given["login"] = login if at and body["resource"]["kind"] == "server" else ""
    ran = run.of(context)
    answer = ran.broker().post("why", body=body | {name: value for name, value in given.items() if value})
    ran.show(answer, lambda: text(" ".join(words), answer))


def understood(words: list[str]) -> tuple[str, str, str]:
    """(subject or empty, action, resource or empty): an action is the word with a dot that is not a name's."""
    if len(words) == 3:
        return words[0], words[1], words[2]
    if len(words) == 2 and "." in words[0] and "@" not in words[0]:
        return "", words[0], words[1]
    if len(words) == 2:
        return words[0], words[1], ""
    if len(words) == 1:
        return "", words[0], ""
    raise UsageProblem("too many words", "write it like: postern why alice ssh.session root@db-1")


def _resource(action: str, name: str) -> dict[str, str]:
    family, dot, _ = action.partition(".")
    if not dot:
        raise UsageProblem(
            f"{action!r} is not an action", "an action has a dot in it: app.request, ssh.session, role.update"
        )
    kind = KINDS.get(family, family)
    return {"kind": kind, "name": name.rpartition("@")[2] if kind == "server" else name}


def text(question: str, answer: Mapping[str, Any]) -> str:
    """The decision, its reasons and terms, then a table of the roles."""
    lines = [f"{question}: {answer['decision']}"]
    for reason in answer.get("reasons") or []:
        lines.append(
            f"  {reason.get('text') or ''} ({reason.get('reason')})" if isinstance(reason, Mapping) else f"  {reason}"
        )
    terms = answer.get("terms") or {}
    if isinstance(terms, Mapping) and terms:
        lines.append(
            "  terms: "
            + ", ".join(f"{name} {_term(value)}" for name, value in terms.items() if value not in (None, "", []))
        )
    roles = answer.get("roles") or []
    if roles:
        rows = [(r["role"], r.get("via"), r.get("outcome"), r.get("text") or r.get("failed")) for r in roles]
        lines += ["", output.table(("Role", "Through", "Outcome", "Why"), rows)]
    return output.safe("\n".join(lines))


def _term(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
