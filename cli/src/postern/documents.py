"""Reading the YAML files that `admin apply` sends: the broker judges what they say, we only find them."""

from __future__ import annotations

import sys
from pathlib import Path

from postern.errors import UsageProblem

SUFFIXES = (".yaml", ".yml")
MAX_BYTES = 4 * 1024 * 1024


def read_all(sources: list[str]) -> list[dict[str, str]]:
    """Each source (file, directory, or `-`) as documents `{source, text}`, in a stable order."""
    return [document for source in sources for document in _read(source)]


def _read(source: str) -> list[dict[str, str]]:
    if source == "-":
        return [{"source": "stdin", "text": sys.stdin.read()}]
    path = Path(source)
    if not path.is_dir():
        return [_document(path)]
    # Below it too: with --prune, a file that was passed over would be taken for a file that was removed.
    files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and _is_visible(file.relative_to(path)))
    if not files:
        raise UsageProblem(f"there is no .yaml or .yml file in {source}", "give -f a file, a directory or -")
    return [_document(file) for file in files]


def _is_visible(path: Path) -> bool:
    return not any(part.startswith(".") for part in path.parts)


def _document(path: Path) -> dict[str, str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageProblem(
            f"cannot read {path}: {(error.strerror or '').lower()}", "give -f a file, a directory or -"
        ) from None
    if len(data) > MAX_BYTES:
        raise UsageProblem(f"{path} is larger than {MAX_BYTES // 2**20} MiB", "split it")
    try:
        return {"source": str(path), "text": data.decode()}
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{path} is not UTF-8 at byte {error.start}", "save it as UTF-8") from None
