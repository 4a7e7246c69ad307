"""`python -m tests.run`: all tests on SQLite, then those that touch the database on PostgreSQL; last a line of sums."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

from tests.real.postgres import Postgres

WORKERS = "2"
WITHOUT_DATABASE = (
    "real",
    "cli",
    "bin",
    "static",
    "broker/policy",
    "broker/ca",
    "broker/documents",
    "broker/supervise",
)


def run(name: str, report: Path, arguments: list[str], database: str = "") -> Counter[str]:
    """Run pytest once; how many tests passed, failed and were skipped."""
    print(f"== pytest on {name}", file=sys.stderr, flush=True)
    environ = {**os.environ, **({"POSTERN_TEST_DATABASE": database} if database else {})}
    pytest = [sys.executable, "-m", "pytest", "-q", "-n", WORKERS, "--dist", "loadfile", f"--junitxml={report}"]
    code = subprocess.run([*pytest, *arguments], env=environ).returncode
    counts = counts_in(report)
    if code and not counts["failed"]:
        counts["failed"] += 1  # it broke before, between or after the tests
    return counts


def counts_in(report: Path) -> Counter[str]:
    """The sums of a JUnit report."""
    counts: Counter[str] = Counter()
    if report.is_file():
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped = int(suite.get("skipped", 0))
            counts.update(failed=failed, skipped=skipped, passed=int(suite.get("tests", 0)) - failed - skipped)
    return counts


def main(failed_checks: list[str]) -> int:
    """Exit code 1 if anything failed, the checks of the text before included."""
    total = Counter(failed=len(failed_checks))
    with tempfile.TemporaryDirectory() as scratch, Postgres() as server:
        total.update(run("SQLite", Path(scratch) / "sqlite.xml", []))
        ignored = [f"--ignore=tests/{path}" for path in WITHOUT_DATABASE]
        total.update(run("PostgreSQL", Path(scratch) / "postgres.xml", ignored, server.url()))
    for check in failed_checks:
        print(f"failed: {check}")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main([line.strip() for line in " ".join(sys.argv[1:]).splitlines() if line.strip()]))
