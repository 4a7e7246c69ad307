"""Paths: what has one reading gets it, what could be read in two ways gets none."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.policy.path import canonical_path, denial_forms, denial_pattern, encoded_path, path_pattern

AMBIGUOUS = [
    # P16: dot segments, plain, encoded, mixed, doubly encoded
    "/a/../b", "/../a", "/a/..", "/.", "/./a", "/a/.", "/a/%2e%2e/b", "/a/%2E./b", "/a/.%2e", "/%2e/a",
    "/a/%252e%252e/b", "/a/..%20/b", "/%25", "/a%252fb",
    # P17: encoded separators, controls, overlong UTF-8, lone surrogates, broken escapes
    "/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a%00", "/a%0ab", "/a%0d%0ab", "/a%23b", "/a%3fb", "/a%3bb", "/a%7f",
    "/%c0%ae%c0%ae/", "/%c0%af", "/%e0%80%af", "/%f0%80%80%af", "/%ed%a0%80", "/%ff", "/%", "/%g0", "/%2", "/%u002e",
    "/caf\u00e9", "/a b", "/a\tb", "/a\r\nX: y", "/\udc80", "/a\x00b",
    # P18: matrix parameters
    "/a;b", "/..;/a", "/a;/../b", "/a/;", "//", "//a", "/a//b", "/a//",
    # P20: a fragment in a request target
    "/a#b", "/#", "/a?b#c",
    # what is not a path at all
    "", "a", "*", "http://grafana/a", "?", "?a",
    # look-alikes of structure
    "/%EF%BC%8F", "/a/%EF%BC%8E%EF%BC%8E/b", "/a%EF%BC%9Bb", "/a%E2%80%A8b", "/a%EF%BC%85b",
    # longer than any target
    "/" + "a" * 20_000,
]  # fmt: skip

CANONICAL = {
    "/": "/",
    "/a/b.c": "/a/b.c",
    "/a/": "/a/",
    "/a?x=/../y&z=%00": "/a",
    "/a%20b": "/a b",
    "/%61dmin": "/admin",
    "/caf%C3%A9": "/café",
    "/.well-known/x": "/.well-known/x",
    "/a/..b": "/a/..b",
    "/a/b..": "/a/b..",
    "/...": "/...",
    "/a|b[c]{d}": "/a|b[c]{d}",
    "/%2Ba+b": "/+a+b",
    "/~user/@x:y=1,2": "/~user/@x:y=1,2",
}


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_the_ambiguous_has_no_reading(target: str) -> None:
    """P16 P17 P18 P20."""
    assert canonical_path(target) is None


@pytest.mark.parametrize("target, path", CANONICAL.items())
def test_the_plain_has_one(target: str, path: str) -> None:
    assert canonical_path(target) == path


def test_encoded_slashes_are_kept_apart_from_slashes_where_an_app_accepts_them() -> None:
    assert canonical_path("/api/group%2fproject", encoded_slashes=True) == "/api/group%2Fproject"
    assert not path_pattern("/api/group/project").matches("/api/group%2Fproject")


@pytest.mark.parametrize(
    "target", ["/a%2f..%2fb", "/a/%2e%2e%2fb", "/a%2f", "/%2fa", "/a%2f%2fb", "/a%252fb", "/a%2fb;c"]
)
def test_encoded_slashes_make_no_dot_segments_nor_empty_ones(target: str) -> None:
    """P16 P17, for an app that accepts encoded slashes."""
    path = canonical_path(target, encoded_slashes=True)
    assert path is None or path == "/a%2F"


def test_a_deny_rule_catches_both_readings_of_an_encoded_slash() -> None:
    for pattern in ("/admin/*", "/admin/x"):
        assert any(denial_pattern(pattern).matches(form) for form in denial_forms("/admin%2Fx"))


@example("/a/./b")
@given(st.text(alphabet="/.%25eEfF;\\#?aA0 é\u212a", max_size=20).map(lambda text: "/" + text))
def test_the_canonical_form_of_a_canonical_path_is_itself(target: str) -> None:
    """P16: idempotent through the wire form."""
    for encoded_slashes in (False, True):
        path = canonical_path(target, encoded_slashes=encoded_slashes)
        if path is not None:
            assert canonical_path(encoded_path(path), encoded_slashes=encoded_slashes) == path


@given(st.text(alphabet="/.%25cCfF;aA ", max_size=24).map(lambda text: "/" + text))
def test_a_canonical_path_has_no_structure_left_to_find(target: str) -> None:
    path = canonical_path(target)
    if path is not None:
        assert "//" not in path
        assert not {".", ".."} & {part.strip() for part in path.split("/")}
        assert not set("%;\\#?\x00") & set(path)


@given(st.binary(max_size=24))
def test_any_bytes_have_a_reading_or_none(raw: bytes) -> None:
    """D20: never an exception."""
    canonical_path(raw.decode("latin-1"))
    canonical_path("/" + raw.decode("utf-8", "surrogateescape"), encoded_slashes=True)


@given(st.text(alphabet="abAB/.é ", min_size=1, max_size=10).map(lambda text: "/" + text))
def test_a_path_denied_literally_is_denied_in_every_lax_spelling(text: str) -> None:
    """P18."""
    try:
        pattern = denial_pattern(text)
    except ValueError:
        return
    for spelling in (text, text.upper(), text + "/", text + ".", text + " ", text + "/."):
        assert any(pattern.matches(form) for form in denial_forms(spelling)), spelling


@pytest.mark.parametrize("text", ["admin", "", "/a?b", "/a//b", "/../a", "/a;b", "/a\\b", "/a%20b", "/a#b"])
def test_a_pattern_that_no_path_could_match_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        path_pattern(text)
