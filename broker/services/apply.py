"""Policy as files: hold documents against what is there, and bring it to what they say, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from broker import live as live_state
from broker.audit.origin import Origin
from broker.documents import RawDocument, Spec, load_documents, parse_all, to_document
from broker.errors import Invalid, Problem
from broker.policy import Subject
from broker.services.changes import change_of, removal_of
from broker.services.decisions import require
from broker.services.delegation import actions_now
from broker.services.enact import Outcome, Planned, enact
from broker.services.groups import connected_groups
from broker.services.kinds import KINDS, as_kept, key_of
from broker.services.references import known_names, problems_in
from broker.services.roles import BUILTIN_HINT, builtin_roles
from broker.services.users import users_who_sign_in

MAX_SOURCES = 2000


@dataclass(frozen=True, slots=True)
class Source:
    """A file's name and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be changed so that things are as the documents say, and how many are so already."""

    changes: tuple[Planned, ...]
    unchanged: int

    @property
    def removes(self) -> bool:
        """Whether something is to be removed."""
        return any(item.spec is None for item in self.changes)


def apply(
    origin: Origin,
    subject: Subject | None,
    documents: Sequence[Source],
    *,
    dry_run: bool = False,
    prune: bool = False,
    confirm: bool = False,
) -> Outcome:
    """Bring everything to what the documents say. No subject means the system itself (set-up, demo).

    `prune` also removes what the documents no longer hold; without `confirm` that only tells what it would do.
    Raises Invalid naming every problem, Denied, Conflict; then nothing has changed.
    """
    planned = plan(documents, prune=prune, may_write=lambda kinds: _require_some(origin, subject, kinds))
    unsure = planned.removes and not confirm
    return enact(
        origin,
        subject,
        planned.changes,
        dry_run=dry_run or unsure,
        summary=True,
        unchanged=planned.unchanged,
    )


def plan(
    documents: Sequence[Source], *, prune: bool = False, may_write: Callable[[Collection[str]], None] | None = None
) -> Plan:
    """What would have to change. Raises Invalid naming every problem in all of the documents.

    `may_write` is told which kinds the documents are of before they are held against what there is.
    """
    raws = _load(documents)
    specs = parse_all(raws)
    if may_write:
        may_write({spec.kind for spec in specs})
    _check(list(zip(raws, specs, strict=True)))
    held: dict[str, dict[str, dict[str, Any]]] = {kind: KINDS[kind].documents(None) for kind in {s.kind for s in specs}}
    changes = []
    for spec in specs:
        name = key_of(spec)
        change = change_of(spec.kind, name, held[spec.kind].get(name), to_document(as_kept(spec)))
        if change:
            changes.append(Planned(change, spec))
    unchanged = len(specs) - len(changes)
    if prune:
        changes += _prunable(specs, held)
    return Plan(tuple(changes), unchanged)


def _require_some(origin: Origin, subject: Subject | None, kinds: Collection[str]) -> None:
    """Refuse who may write nothing of a kind: that nothing would change, or which name was meant, is news already."""
    if subject is None and origin.actor_kind == "system":
        return
    held = actions_now(live_state.current(), origin, subject)
    for kind in sorted(kinds):
        admin = KINDS[kind].admin
        if held.isdisjoint({f"{admin}.create", f"{admin}.update"}):
            require(origin, subject, f"{admin}.create")


def _load(documents: Sequence[Source]) -> list[RawDocument]:
    if len(documents) > MAX_SOURCES:
        raise Invalid(f"there are more than {MAX_SOURCES} files", "apply them in parts")
    raws: list[RawDocument] = []
    problems: list[Problem] = []
    for source in documents:
        try:
            raws += load_documents(source.text, source.name)
        except Invalid as error:
            problems += error.problems
    if problems:
        raise Invalid("the documents cannot be read", "nothing was changed", problems)
    return raws


def _check(documents: Sequence[tuple[RawDocument, Spec]]) -> None:
    """References, built-in roles, and bindings that say the same under two names."""
    names = known_names([spec for _, spec in documents])
    builtin = KINDS["role"].documents(builtin_roles())
    seen: dict[tuple[str, str], str] = {}
    problems: list[Problem] = []
    for raw, spec in documents:
        problems += problems_in(spec, names, raw)
        line = raw.lines.get("metadata.name", raw.line)
        if spec.kind == "role" and spec.name in builtin and to_document(spec) != builtin[spec.name]:
            problems.append(Problem(f"role {spec.name!r} is built in", raw.source, line, "metadata.name", BUILTIN_HINT))
        key = (spec.kind, key_of(spec))
        if key in seen:
            message = f"{key[0]} {key[1]} is written twice, first in {seen[key]}"
            problems.append(Problem(message, raw.source, raw.line, "metadata.name", "keep one of them"))
        seen.setdefault(key, f"{raw.source or 'input'}:{raw.line}")
    if problems:
        first = str(problems[0]) if len(problems) == 1 else f"there are {len(problems)} problems in the documents"
        raise Invalid(first, "nothing was changed", problems)


def _prunable(specs: Iterable[Spec], held: dict[str, dict[str, dict[str, Any]]]) -> list[Planned]:
    """What is there of the kinds that the documents speak of, but not in them.

    Never a built-in role, a user who can sign in (remove those by name), or a group that a directory fills.
    """
    wanted = {(spec.kind, key_of(spec)) for spec in specs}
    kept = {"role": builtin_roles(), "user": users_who_sign_in(), "group": connected_groups()}
    gone = []
    for kind, documents in held.items():
        for name in sorted(documents):
            if (kind, name) not in wanted and name not in kept.get(kind, frozenset()):
                gone.append(Planned(removal_of(kind, name, documents[name])))
    return gone
