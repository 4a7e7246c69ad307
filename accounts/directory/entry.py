"""What a directory says about one person, and how it fails to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.errors import Conflict, Unavailable


class Down(Unavailable):
    """The directory does not answer, not as it should, or is not proved to be the right one: nothing is known."""


class Ambiguous(Conflict):
    """More than one entry goes by that name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody's entry. `uuid` stays theirs for ever; `attributes` hold texts only, and no password's hash."""

    dn: str
    uuid: str
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def first(self, attribute: str) -> str:
        """The attribute's first value, whatever case it is written in; empty if it has none."""
        wanted = attribute.lower()
        return next((values[0] for name, values in self.attributes.items() if name.lower() == wanted and values), "")
