"""What documents name must exist, in the documents themselves or already: a role, a user, a group, a kept secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from accounts.models import Group, User
from accounts.names import name_key
from broker.documents import (
    BindingSpec,
    ConnectorSpec,
    GroupSpec,
    LdapSpec,
    OidcSpec,
    RawDocument,
    RoleSpec,
    ScimSpec,
    Spec,
    UserSpec,
)
from broker.errors import Invalid, Problem
from broker.models import Role
from broker.services.connectors import kept_specs, problem_with_secret


@dataclass(frozen=True, slots=True)
class Names:
    """The names that may be referred to, by kind; of connectors, what is kept."""

    roles: frozenset[str]
    users: frozenset[str]
    machines: frozenset[str]
    groups: frozenset[str]
    oidc: frozenset[str] = frozenset()
    kept: Mapping[str, ConnectorSpec] = field(default_factory=dict)


def known_names(specs: Iterable[Spec]) -> Names:
    """What there is, and what the documents will make."""
    specs = list(specs)
    users = dict(User.objects.values_list("username", "kind"))
    kept = kept_specs() if any(isinstance(spec, OidcSpec | LdapSpec | ScimSpec) for spec in specs) else {}
    return Names(
        roles=frozenset(Role.objects.values_list("name", flat=True)) | _named(specs, RoleSpec),
        users=frozenset(n for n, kind in users.items() if kind == User.Kind.PERSON) | _named(specs, UserSpec),
        machines=frozenset(n for n, kind in users.items() if kind == User.Kind.MACHINE),
        groups=frozenset(Group.objects.values_list("name", flat=True)) | _named(specs, GroupSpec),
        oidc=_named(kept.values(), OidcSpec) | _named(specs, OidcSpec),
        kept=kept,
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
    elif isinstance(spec, ScimSpec) and spec.identities_of:
        wanted = [("spec.identities_of", "oidc", spec.identities_of)]
    elif isinstance(spec, OidcSpec | LdapSpec):
        return _problems_with_secret(spec, names, raw)
    else:
        return []
    known = {
        "role": names.roles, "user": names.users, "machine": names.machines, "group": names.groups, "oidc": names.oidc
    }  # fmt: skip
    missing = [item for item in wanted if not _is_in(item[2], known[item[1]])]
    return [_problem(path, kind, name, known[kind], raw) for path, kind, name in missing]


def _problems_with_secret(spec: OidcSpec | LdapSpec, names: Names, raw: RawDocument | None) -> list[Problem]:
    problem = problem_with_secret(spec, names.kept.get(spec.name))
    if problem is None:
        return []
    if raw is not None:
        problem = replace(problem, source=raw.source, line=raw.lines.get(problem.path) or raw.line)
    return [problem]


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
