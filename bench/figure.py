"""One measured number, with what it should reach."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a bench. `target` None means: reported, nothing to reach. `better` says in which direction."""

    bench: str
    figure: str
    value: float
    unit: str
    target: float | None = None
    better: Literal["lower", "higher"] = "lower"

    @property
    def reached(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target

    def as_json(self) -> str:
        """One JSON object, on one line."""
        return json.dumps({**asdict(self), "value": round(self.value, 4)})
