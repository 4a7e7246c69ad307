"""docs/running.md says what the code does: its table of settings is made from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from broker.environment import BASE_DIR, Environment

PAGE = BASE_DIR / "docs" / "running.md"
BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->\n"


def table() -> str:
    """The settings as a table in Markdown."""
    lines = ["| setting | if absent | what it is |", "|---|---|---|"]
    for name, field in Environment.model_fields.items():
        assert field.description, f"{name} has no description"
        shown = _shown(name, field.get_default(call_default_factory=True))
        lines.append(f"| `POSTERN_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def _shown(name: str, value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value in ("", None, []):
        return "–"
    if isinstance(value, Path):
        return f"`{value.relative_to(BASE_DIR)}`"
    if isinstance(value, bool):
        return "no" if not value else "yes"
    if isinstance(value, float):
        return f"`{_duration(value)}`"
    return f"`{value}`"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def test_the_table_of_settings_is_the_one_the_code_has() -> None:
    text = PAGE.read_text()
    shown = text.partition(BEGIN)[2].partition(END)[0]
    assert shown == table(), f"put this into docs/running.md:\n{table()}"


def test_every_document_the_readme_links_to_is_there() -> None:
    import re

    for page in ("README.md", "docs/running.md", "CONTRIBUTING.md", "SECURITY.md"):
        directory = (BASE_DIR / page).parent
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (BASE_DIR / page).read_text()):
            assert (directory / target).exists(), f"{page} links to {target}"
