"""Where an event comes from: who acted, from which address, in which request and login session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Origin:
    """The actor and circumstances written with every event. A connector's name is its source: `scim:NAME`."""

    actor_kind: Literal["person", "machine", "system", "connector", "anonymous"] = "anonymous"
    actor_id: str = ""
    actor_name: str = ""
    address: str = ""
    request_id: str = ""
    login_session_id: str = ""


def system(part: str) -> Origin:
    """The origin of what a part of Postern does by itself."""
    return Origin(actor_kind="system", actor_name=part)
