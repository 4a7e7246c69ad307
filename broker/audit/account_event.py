"""Events about resets of second factors: asked for, approved, refused; `FactorsReset` says that one took effect.

As in `broker.audit.event`: names and fields are the log's format, and no field may ever hold a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from broker.audit.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reset(Event):
    """`id` and `label` are the user's whose factors are meant."""

    kind: ClassVar[str] = "user"
    touching: ClassVar[bool] = False
    asked_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsResetAsked(_Reset):
    """It takes effect at `due_at`, or when somebody else approves it before."""

    name: ClassVar[str] = "user.factors.reset.asked"
    due_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsResetApproved(_Reset):
    name: ClassVar[str] = "user.factors.reset.approved"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsResetRefused(_Reset):
    """The user says that they did not want it."""

    name: ClassVar[str] = "user.factors.reset.refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsResetCancelled(_Reset):
    """An administrator took it back, or it was overtaken."""

    name: ClassVar[str] = "user.factors.reset.cancelled"
