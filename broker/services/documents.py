"""One document at a time: list, read, save and remove things of the kinds administrators write."""

from __future__ import annotations

from typing import Any

from broker.audit.origin import Origin
from broker.documents import Spec, to_document
from broker.errors import NotFound
from broker.policy import Subject
from broker.services.changes import change_of, removal_of
from broker.services.decisions import require
from broker.services.enact import Outcome, Planned, enact
from broker.services.kinds import Kind, as_kept, key_of, kind_named
from broker.services.references import require_references


def list_documents(origin: Origin, subject: Subject | None, kind: str) -> list[dict[str, Any]]:
    """Every document of a kind, by name. Raises Denied, and NotFound for an unknown kind."""
    known = kind_named(kind)
    require(origin, subject, f"{known.admin}.list")
    return [document for _, document in sorted(known.documents(None).items())]


def read_document(origin: Origin, subject: Subject | None, kind: str, name: str) -> dict[str, Any]:
    """One document. Raises Denied, whether or not it exists, and NotFound."""
    known = kind_named(kind)
    require(origin, subject, f"{known.admin}.read", name)
    return _held(known, name)[1]


def save_document(origin: Origin, subject: Subject | None, spec: Spec, *, dry_run: bool = False) -> Outcome:
    """Make a thing or bring it to what the document says. Raises Denied, Invalid, Conflict."""
    known = kind_named(spec.kind)
    name = key_of(spec)
    before = known.documents([name]).get(name)
    change = change_of(spec.kind, name, before, to_document(as_kept(spec)))
    require(origin, subject, f"{known.admin}.{'update' if before else 'create'}", name)
    if change is None:
        return Outcome((), applied=not dry_run, unchanged=1)
    require_references([spec])
    return enact(origin, subject, [Planned(change, spec)], dry_run=dry_run)


def delete_document(origin: Origin, subject: Subject | None, kind: str, name: str, *, dry_run: bool = False) -> Outcome:
    """Remove a thing and end what hangs on it. Raises Denied, whether or not it exists, NotFound and Conflict."""
    known = kind_named(kind)
    require(origin, subject, f"{known.admin}.delete", name)
    key, before = _held(known, name)
    return enact(origin, subject, [Planned(removal_of(kind, key, before))], dry_run=dry_run)


def _held(kind: Kind, name: str) -> tuple[str, dict[str, Any]]:
    """The name as we write it, and the document."""
    # PostgreSQL takes no NUL, even in a query.
    for key, document in kind.documents([name] if "\0" not in name else []).items():
        return key, document
    raise NotFound(f"there is no {kind.name} {name[:200]!r}", f"list them with: postern admin get {kind.name}")
