"""The CEL engine, without the command line that its package loads along: that costs each process a second and 25 MB."""

import sys
from types import ModuleType

sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

import cel  # noqa: E402

__all__ = ["cel"]
