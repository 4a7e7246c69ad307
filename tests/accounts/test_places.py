"""Which addresses are one place, and which browsers are one browser."""

from __future__ import annotations

import pytest

from accounts.places import has_moved, is_other_browser, neighbourhood, network

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
FIREFOX_NEWER = FIREFOX.replace("140.0", "151.0")
FIREFOX_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ("192.0.2.1", "192.0.2.1", False),
        ("192.0.2.1", "192.0.2.2", True),
        ("2001:db8::1", "2001:db8::ffff", False),  # addresses for privacy change by themselves
        ("2001:db8::1", "2001:db8:0:1::1", True),
        ("192.0.2.1", "2001:db8::1", True),
        ("", "192.0.2.1", False),
        ("192.0.2.1", "", False),
        ("unix:", "192.0.2.1", True),
    ],
)
def test_a_session_moves_with_its_network(before: str, after: str, moved: bool) -> None:
    """S08."""
    assert has_moved(before, after) is moved


def test_a_neighbourhood_is_wider_than_a_network() -> None:
    assert network("192.0.2.1") == "192.0.2.1"
    assert neighbourhood("192.0.2.1") == neighbourhood("192.0.2.200") == "192.0.2.0/24"
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8:0:7::1") == "2001:db8::/48"


@pytest.mark.parametrize("address", ["", "x" * 200, "192.0.2.1/24", "\0", "::ffff:1.2.3.4%eth0"])
def test_what_is_no_address_is_a_place_of_its_own(address: str) -> None:
    assert len(network(address)) <= 64


@pytest.mark.parametrize(
    ("before", "after", "other"),
    [
        (FIREFOX, FIREFOX_NEWER, False),
        (FIREFOX, CHROME, True),
        (FIREFOX, FIREFOX_WINDOWS, True),
        (FIREFOX, "", True),
        (FIREFOX, "curl/8.5.0", True),
        ("", "", False),
    ],
)
def test_a_browser_may_be_updated_but_not_become_another(before: str, after: str, other: bool) -> None:
    """S08."""
    assert is_other_browser(before, after) is other
