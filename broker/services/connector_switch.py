"""Switching a connector on and off, which its document says as one word."""

from __future__ import annotations

from dataclasses import replace

from broker.audit.origin import Origin
from broker.documents import LdapSpec, OidcSpec, ScimSpec, parse_mapping
from broker.errors import NotFound
from broker.policy import Subject
from broker.services.documents import read_document, save_document
from broker.services.enact import Outcome


def set_enabled(
    origin: Origin, subject: Subject | None, kind: str, name: str, enabled: bool, *, dry_run: bool = False
) -> Outcome:
    """Switch a connector on or off; off ends what came by it. Raises Denied, NotFound, Conflict."""
    spec = parse_mapping(kind, read_document(origin, subject, kind, name))
    if not isinstance(spec, OidcSpec | LdapSpec | ScimSpec):
        raise NotFound(f"there is no connector {name!r}")
    return save_document(origin, subject, replace(spec, enabled=enabled), dry_run=dry_run)
