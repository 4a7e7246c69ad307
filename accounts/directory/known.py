"""The directories of this process by connector, so that connections and rests outlive one sign-in."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from uuid import UUID

from accounts.connectors import ldap_spec
from accounts.directory import extra
from accounts.models import Connector

if TYPE_CHECKING:
    from accounts.directory.directory import Directory

_known: dict[UUID, Directory] = {}
_lock = threading.Lock()


def directory_of(connector: Connector) -> Directory:
    """The directory that a connector describes. Raises Unavailable without the LDAP library, Invalid if
    its document was damaged.
    """
    extra.require()
    from accounts.directory.directory import Directory

    spec = ldap_spec(connector)
    with _lock:
        known = _known.get(connector.pk)
        if known is None or not known.is_as(spec, connector.secret):
            if known is not None:
                known.close()
            known = _known[connector.pk] = Directory(spec, connector.secret)
        return known


def forget() -> None:
    """Drop what this process knows (between tests)."""
    with _lock:
        for directory in _known.values():
            directory.close()
        _known.clear()
