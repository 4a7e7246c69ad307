"""Our cookies and tokens are found, and never left in what goes on to an app."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.tokens import digest
from proxy.web.credentials import Cookies, read_authorization, read_cookies

TOKEN = "a" * 43


@pytest.mark.parametrize(
    "header, session, rest",
    [
        ("", "", ""),
        ("a=1; b=2", "", "a=1; b=2"),
        (f"__Host-postern-app={TOKEN}", TOKEN, ""),
        (f"a=1; __Host-postern-app={TOKEN}; b=2", TOKEN, "a=1; b=2"),
        (f"__Host-postern-app={TOKEN}; __Host-postern-app={TOKEN}", "", ""),
        (f"__host-postern-app={TOKEN}", "", ""),
        ("__Host-postern-app=short", "", ""),
        (f"__Host-postern-app={TOKEN}x", "", ""),
        (f"=__Host-postern-app={TOKEN}; a=1", "", "a=1"),
        ("__Host-postern=broker; __Host-posternish=1", "", ""),
    ],
)
def test_cookies_are_told_apart(header: str, session: str, rest: str) -> None:
    """S17."""
    assert read_cookies(header) == Cookies(digest(session) if session else "", "", rest)


@given(
    st.lists(
        st.sampled_from(["__Host-postern-app", "=", ";", " ", TOKEN, "a", "__HOST-postern", '"', ",", "\t"]),
        max_size=20,
    )
)
def test_nothing_of_ours_is_left_whatever_the_header(parts: list[str]) -> None:
    """P10."""
    assert "__host-postern" not in read_cookies("".join(parts)).rest.lower()


@pytest.mark.parametrize(
    "header, token, ours",
    [
        ("", "", False),
        ("Basic YTpi", "", False),
        ("Bearer someone-elses", "", False),
        (f"Bearer ptn_app_{TOKEN}", f"ptn_app_{TOKEN}", True),
        (f"bearer  ptn_app_{TOKEN}", f"ptn_app_{TOKEN}", True),
        (f"Bearer ptn_cli_{TOKEN}", "", True),
        ("Bearer PTN_APP_x", "", True),
        (f"Bearer ptn_app_{TOKEN}, Basic x", "", True),
    ],
)
def test_tokens_are_told_apart(header: str, token: str, ours: bool) -> None:
    found = read_authorization(header)
    assert (found.token_hash, found.ours) == (digest(token) if token else "", ours)
