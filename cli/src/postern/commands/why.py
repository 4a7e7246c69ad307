"""why: the decision on an attempt, and what each role had to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from postern import output, run
from postern.errors import UsageProblem

KINDS = {"ssh": "server"}
"""The kind of resource that an action of this family is about, where it is not called like the family."""
FAMILIES = frozenset(
    ("app", "ssh", "certificate", "console", "role", "binding", "user", "group", "server", "lock", "session", "event")
)


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
    """(subject or empty, action, resource or empty)."""
    match words:
        case [action] if is_action(action):
            return "", action, ""
        case [action, resource] if is_action(action):
            return "", action, resource
        case [subject, action] if is_action(action):
            return subject, action, ""
        case [subject, action, resource] if is_action(action):
            return subject, action, resource
    raise UsageProblem("there is no action in that", "write it like: postern why alice ssh.session root@db-1")


def is_action(word: str) -> bool:
    """Whether a word looks like an action: `FAMILY.VERB`, of a family there is."""
    family, dot, verb = word.partition(".")
    return family in FAMILIES and bool(dot and verb)


def _resource(action: str, name: str) -> dict[str, str]:
    family = action.partition(".")[0]
    kind = KINDS.get(family, family)
    return {"kind": kind, "name": name.rpartition("@")[2] if kind == "server" else name}


def text(question: str, answer: Mapping[str, Any]) -> str:
    """The decision, its reasons and terms, then a table of the roles."""
    permitted = answer["decision"] == "permit"
    names = ", ".join(str(reason["reason"]) for reason in answer.get("reasons") or [])
    lines = [f"{question}: {'permitted' if permitted else 'denied'} ({names})", f"  {answer.get('text') or ''}"]
    lines += [f"  hint: {answer['hint']}"] if answer.get("hint") else []
    lines += [f"  {term}" for term in _terms(answer.get("terms") or {})]
    lines += [f"  ({answer['assumed']})"] if answer.get("assumed") else []
    if roles := answer.get("roles"):
        rows = [(role["role"], role.get("via"), role.get("outcome"), role.get("text")) for role in roles]
        lines += ["", output.table(("Role", "Through", "Outcome", "Why"), rows)]
    return output.safe("\n".join(line for line in lines if line.strip() or not line))


def _terms(terms: Mapping[str, Any]) -> list[str]:
    found = []
    if terms.get("roles"):
        found.append(f"by roles: {', '.join(terms['roles'])}")
    if terms.get("ends_at"):
        found.append(f"asked again at the latest: {output.valid_until(terms['ends_at'])}")
    if granted := [name for name, value in terms.items() if value is True]:
        found.append(f"with: {', '.join(granted)}")
    return found
