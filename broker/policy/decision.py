"""The answer to an attempt: a Permit with its terms, or a Denial with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple

from broker.policy.reason import CONFIRMABLE, Reason


class Permit(NamedTuple):
    """A yes. `roles` allowed it; `until` (Unix seconds) is when it must be asked again at the latest.

    `ends_at` (Unix seconds) is when what was granted ends whatever happens, and `max_ttl` is how many seconds a
    credential made on this permit may live. `mfa_reuse` is for how many seconds one confirmation may start access
    sessions: 0, a single one; infinity, it needs none of its own. The booleans say what an SSH session may do;
    `forward_ports` is both directions, which is all that a certificate can say.
    """

    roles: tuple[str, ...]
    until: float
    reason: Reason = Reason.ROLE_ALLOWS
    max_ttl: float = 0.0
    ends_at: float = 0.0
    mfa_reuse: float = inf
    pty: bool = False
    forward_agent: bool = False
    forward_ports: bool = False
    forward_local: bool = False
    forward_remote: bool = False
    forward_x11: bool = False
    file_copy: bool = False
    pin_source: bool = True

    @property
    def permitted(self) -> Literal[True]:
        """So that a caller need not look at the type."""
        return True


@dataclass(frozen=True, slots=True)
class Denial:
    """A no. `reasons` are in the order found, the deciding one first; `role` is the role that denied, if one did.

    `phishing_resistant`: whether only such a second factor would do.
    """

    reasons: tuple[Reason, ...]
    role: str = ""
    detail: str = ""
    phishing_resistant: bool = False

    @property
    def permitted(self) -> Literal[False]:
        """So that a caller need not look at the type."""
        return False

    @property
    def confirmable(self) -> bool:
        """Whether the person can lift it by giving their second factor again."""
        return bool(self.reasons) and CONFIRMABLE.issuperset(self.reasons)


Decision = Permit | Denial
