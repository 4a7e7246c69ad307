"""HTTP methods that exist for us. Names are case-sensitive; everything else is refused before any role is looked at."""

from __future__ import annotations

from collections.abc import Iterable

STANDARD = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Only for roles that name them: WebDAV and CalDAV.
DAV = frozenset({"PROPFIND", "PROPPATCH", "MKCOL", "MKCALENDAR", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH"})
KNOWN = STANDARD | DAV


def with_head(methods: Iterable[str]) -> frozenset[str]:
    """The methods a list stands for: GET includes HEAD, which tells nothing that GET would not."""
    named = frozenset(methods)
    return named | {"HEAD"} if "GET" in named else named
