"""The memory of each process at rest, soon after the start: proportional set size, so that shared pages count once."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bench.figure import Figure
from tests.real.product import Product

SETTLE = 5.0


def run() -> Iterable[Figure]:
    """One figure for each kind of process, and their sum."""
    with tempfile.TemporaryDirectory(prefix="ptn") as scratch, Product(Path(scratch) / "data") as product:
        time.sleep(SETTLE)
        found: Counter[str] = Counter()
        for pid in _family(product.pid):
            found[_name(pid, product.pid)] += _proportional_kib(pid)
    for name, kib in sorted(found.items()):
        yield Figure("memory", f"{name}_mib", kib / 1024, "MiB")
    yield Figure("memory", "all_mib", sum(found.values()) / 1024, "MiB")


def _family(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended meanwhile
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _name(pid: int, root: int) -> str:
    if pid == root:
        return "supervisor"
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    return name.removeprefix("postern-").replace("-", "_").replace(" ", "_")


def _proportional_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
