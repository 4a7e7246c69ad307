"""What the content security policy forbids is not written, what templates name exists, and pages stay light."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
STATIC = ROOT / "static/postern"
SYMBOLS = set(re.findall(r'<symbol id="([a-z-]+)"', (STATIC / "icons.svg").read_text()))
names = [str(path.relative_to(ROOT)) for path in TEMPLATES]


@pytest.mark.parametrize("path", TEMPLATES, ids=names)
def test_no_template_asks_for_what_the_policy_forbids(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<[^>]+\sstyle=", text), "style attribute"
    assert not re.search(r"<[^>]+\son[a-z]+=", text), "event handler attribute"
    assert not re.search(r"hx-on|js:|javascript:", text), "script in an attribute"
    for tag, attributes in re.findall(r"<(script|style)\b([^>]*)>", text):
        assert "src=" in attributes or "nonce=" in attributes, f"inline {tag} without a nonce"
    assert "|safe" not in text, "unescaped text"


@pytest.mark.parametrize("path", TEMPLATES, ids=names)
def test_every_icon_exists(path: Path) -> None:
    text = path.read_text()
    named = set(re.findall(r'{% icon "([a-z-]+)"', text)) | set(re.findall(r'\bicon="([a-z-]+)"', text))
    assert named <= SYMBOLS


def test_what_every_page_loads_leaves_room_for_the_page() -> None:
    """DESIGN.md section 10: 150 KB a page; htmx takes 51 KB of it."""
    every_page = sum(path.stat().st_size for path in STATIC.rglob("*") if path.is_file())
    assert every_page < 70_000
