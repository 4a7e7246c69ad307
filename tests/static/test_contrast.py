"""Every text colour reaches 4.5:1 and every control's border 3:1 on each surface it may stand on, light and dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOKENS = (ROOT / "static/postern/css/tokens.css").read_text()
PAIR = re.compile(r"--([a-z-]+): light-dark\((#[0-9a-f]{3,6}), (#[0-9a-f]{3,6})\)")
COLOURS = {name: (light, dark) for name, light, dark in PAIR.findall(TOKENS)}
SURFACES = ("ground", "surface", "raised", "sunken")
TEXT = [
    *((text, on) for text in ("ink", "ink-soft", "accent", "accent-strong", "bad") for on in SURFACES),
    *(("ink", wash) for wash in ("accent-wash", "good-wash", "bad-wash", "warn-wash")),
    *(("ink-soft", wash) for wash in ("accent-wash", "bad-wash", "good-wash")),
    ("accent-strong", "accent-wash"),
    ("good", "good-wash"),
    ("bad", "bad-wash"),
    ("warn", "warn-wash"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
]
BORDERS = [(line, on) for line in ("line-strong", "focus") for on in SURFACES]


def luminance(colour: str) -> float:
    """WCAG 2.2 relative luminance of `#rgb` or `#rrggbb`."""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "on"), TEXT)
def test_text_can_be_read(text: str, on: str, theme: int) -> None:
    assert contrast(COLOURS[text][theme], COLOURS[on][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("line", "on"), BORDERS)
def test_a_control_can_be_seen(line: str, on: str, theme: int) -> None:
    assert contrast(COLOURS[line][theme], COLOURS[on][theme]) >= 3


@pytest.mark.parametrize("fill", ["bad-fill", "bad-fill-hover"])
@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_white_can_be_read_on_a_dangerous_button(fill: str, theme: int) -> None:
    assert contrast("#ffffff", COLOURS[fill][theme]) >= 4.5


def test_the_measure_itself_knows_black_from_white() -> None:
    assert round(contrast("#000", "#fff"), 2) == 21
    assert contrast("#777777", "#ffffff") < 4.5
