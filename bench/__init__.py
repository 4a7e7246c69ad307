"""Benchmarks: each module has `run() -> Iterable[Figure]`; `python -m bench NAME [--json]` runs them."""

from bench.figure import Figure

__all__ = ["Figure"]
