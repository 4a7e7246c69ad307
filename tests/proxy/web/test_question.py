"""nginx's question is read exactly or not at all; an answer cannot be broken by what is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.web.question import answer_head, read_question

HEAD = b"GET / HTTP/1.1\r\nX-App: a\r\nX-Method: GET\r\nX-Target: /x: y?z\r\nX-Cookie: \xff=1"


def test_a_question_is_read() -> None:
    question = read_question(HEAD)
    assert question is not None
    assert (question.app, question.method, question.target, question.cookie) == ("a", "GET", "/x: y?z", "\xff=1")
    assert question.origin == ""


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1",
        HEAD + b"\r\nX-App: b",
        HEAD.replace(b"X-App: a", b"X-App:a"),
        HEAD.replace(b"X-Target", b"X-Targe"),
        HEAD + b"\r\nnonsense",
    ],
)
def test_anything_else_is_not_a_question(head: bytes) -> None:
    assert read_question(head) is None


@given(st.text(max_size=200))
def test_no_value_can_begin_another_header(value: str) -> None:
    """A10."""
    head = answer_head(200, [("X-A", value)])
    assert head.count(b"\r\n") <= 2
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\0" not in head
