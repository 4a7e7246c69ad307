"""The CEL engine, without the command line its package loads along: that would cost a second and 25 MB in each process."""

import sys
from types import ModuleType

sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

import cel  # noqa: E402

__all__ = ["cel"]
