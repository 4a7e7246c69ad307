"""What documents name must exist, in the documents themselves or already: a role, a user, a group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from accounts.models import Group, User
from accounts.names import name_key
from broker.documents import BindingSpec, GroupSpec, RawDocument, RoleSpec, Spec, UserSpec
from broker.errors import Invalid, Problem
from broker.models import Role


@dataclass(frozen=True, slots=True)
class Names:
    """The names that may be referred to, by kind."""

    roles: frozenset[str]
    users: frozenset[str]
    machines: frozenset[str]
    groups: frozenset[str]


def known_names(specs: Iterable[Spec]) -> Names:
    """What there is, and what the documents will make."""
    specs = list(specs)
    users = dict(User.objects.values_list("username", "kind"))
    return Names(
        roles=frozenset(Role.objects.values_list("name", flat=True)) | _named(specs, RoleSpec),
        users=frozenset(n for n, kind in users.items() if kind == User.Kind.PERSON) | _named(specs, UserSpec),
        machines=frozenset(n for n, kind in users.items() if kind == User.Kind.MACHINE),
        groups=frozenset(Group.objects.values_list("name", flat=True)) | _named(specs, GroupSpec),
    )


def require_references(specs: Sequence[Spec]) -> None:
    """Raise Invalid if one of them names what does not exist."""
    names = known_names(specs)
    problems = [problem for spec in specs for problem in problems_in(spec, names)]
    if problems:
        raise Invalid(str(problems[0]), "nothing was changed", problems)


def problems_in(spec: Spec, names: Names, raw: RawDocument | None = None) -> list[Problem]:
    """What a document names that does not exist, each with its line and the nearest name."""
    if isinstance(spec, UserSpec):
        wanted = [(f"spec.groups[{index}]", "group", name) for index, name in enumerate(spec.groups)]
    elif isinstance(spec, BindingSpec):
        wanted = [("spec.role", "role", spec.role), (f"spec.{spec.subject_kind}", spec.subject_kind, spec.subject)]
    else:
        return []
    known = {"role": names.roles, "user": names.users, "machine": names.machines, "group": names.groups}
    missing = [item for item in wanted if not _is_in(item[2], known[item[1]])]
    return [_problem(path, kind, name, known[kind], raw) for path, kind, name in missing]


def _is_in(name: str, known: frozenset[str]) -> bool:
    return name in known or name_key(name) in known


def _problem(path: str, kind: str, name: str, known: frozenset[str], raw: RawDocument | None) -> Problem:
    near = get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"make the {kind} first, or add its document"
    if raw is None:
        return Problem(f"there is no {kind} {name!r}", path=path, hint=hint)
    line = raw.lines.get(path) or raw.lines.get(path.partition("[")[0]) or raw.line
    return Problem(f"there is no {kind} {name!r}", raw.source, line, path, hint)


def _named(specs: Iterable[Spec], cls: type) -> frozenset[str]:
    return frozenset(spec.name for spec in specs if isinstance(spec, cls))
