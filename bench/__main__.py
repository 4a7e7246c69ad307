"""`python -m bench NAME… [--json]`: run benches by name (all without a name); one JSON object a line, or a table."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path

from bench.figure import Figure

_NOT_BENCHES = frozenset({"__main__", "figure"})


def names() -> list[str]:
    """The benches there are: the public modules of this package that have a `run`."""
    found = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    return sorted(name for name in found if not name.startswith("_") and name not in _NOT_BENCHES)


def run(name: str) -> Iterable[Figure]:
    """The figures of one bench, as they are measured."""
    figures: Iterable[Figure] = importlib.import_module(f"bench.{name}").run()
    return figures


def as_row(figure: Figure) -> str:
    """One line of the table for people."""
    sign = "≤" if figure.better == "lower" else "≥"
    target = "" if figure.target is None else f"{sign} {figure.target:g}"
    verdict = {True: "reached", False: "MISSED", None: ""}[figure.reached]
    name = f"{figure.bench}.{figure.figure}"
    return f"{name:<36} {figure.value:>12.3f} {figure.unit:<6} {target:<10} {verdict}".rstrip()


def main() -> int:
    """Exit code 0 when every bench ran, whatever it measured; 2 for a name that is none."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="measure, and compare with what to reach")
    parser.add_argument("names", nargs="*", metavar="NAME", help="one of: " + ", ".join(names()))
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - set(names()))
    if unknown:
        print(f"error: there is no bench {unknown[0]!r}; there are {', '.join(names())}", file=sys.stderr)
        return 2
    for name in asked.names or names():
        for figure in run(name):
            print(figure.as_json() if asked.json else as_row(figure), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
