"""The shell half of `bin/run`: finding a Python that works, and saying in one line what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from broker.environment import BASE_DIR


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which nothing is installed yet; only the files the shell looks at."""
    made = tmp_path / "clone"
    shutil.copytree(BASE_DIR / "bin", made / "bin")
    (made / "cli").mkdir()
    for name in ("uv.lock", "pyproject.toml", "cli/pyproject.toml"):
        shutil.copy(BASE_DIR / name, made / name)
    (made / "broker" / "supervise").mkdir(parents=True)
    for name in ("broker/supervise/__init__.py", "broker/supervise/__main__.py", "broker/supervise/options.py"):
        shutil.copy(BASE_DIR / name, made / name)
    return made


def sh(clone: Path, code: str, path: str) -> subprocess.CompletedProcess[str]:
    """Run `code` after bin/environment.sh, with programs from `path` only."""
    return subprocess.run(
        ["/bin/sh", "-euc", f". bin/environment.sh\n{code}"],
        cwd=clone,
        env={"PATH": path, "HOME": str(clone)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def shims(clone: Path, **programs: str) -> str:
    """A directory of programs that are shell scripts."""
    directory = clone / "shims"
    directory.mkdir(exist_ok=True)
    for name, script in programs.items():
        file = directory / name.replace("_", ".")
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    return str(directory)


def test_a_shim_that_ends_in_an_error_is_not_taken_for_python(clone: Path) -> None:
    path = shims(clone, python3_13="exit 127", python3_12="exit 127", python3_11=f'exec {sys.executable} "$@"')
    assert sh(clone, 'find_python && echo "$PYTHON"', path).stdout == "python3.11\n"


def test_a_python_that_is_too_old_is_not_taken(clone: Path) -> None:
    too_old = "exit 1"  # what the question about the version answers
    path = shims(
        clone, python3_13=too_old, python3_12=too_old, python3_11=too_old, python3=f'exec {sys.executable} "$@"'
    )
    assert sh(clone, 'find_python && echo "$PYTHON"', path).stdout == "python3\n"


def test_without_any_python_one_line_says_what_to_install(clone: Path) -> None:
    broken = (clone / "bin" / "environment.sh").read_text().replace("/usr/bin/python3", "/nowhere/python3")
    (clone / "bin" / "environment.sh").write_text(broken)
    done = sh(clone, "can_apt() { false; }\nneed_python", shims(clone, id="echo 1000"))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: Postern needs Python 3.11, 3.12 or 3.13 (Debian, Ubuntu: apt install python3 python3-venv)"
    ]


def test_packages_that_are_there_are_not_looked_at_again(clone: Path) -> None:
    path = f"{shims(clone, uv='echo uv must not run >&2; exit 1')}:{os.environ['PATH']}"
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
    state = '$(cat uv.lock pyproject.toml cli/pyproject.toml | cksum) $("$PYTHON" -V)'
    stamp = f'find_python; echo "{state}" >.venv/.postern-run'
    done = sh(clone, f"{stamp}\nneed_packages run && echo ready", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")


def test_help_installs_nothing(clone: Path) -> None:
    done = subprocess.run([str(clone / "bin" / "run"), "--help"], capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 0
    assert "--demo" in done.stdout
    assert not (clone / ".venv").exists()
