"""YAML in: what is read, what is refused, and that nothing crashes the process."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from broker.documents import load_documents
from broker.errors import Invalid


def problems_of(text: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        load_documents(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "text, words",
    [
        ("a: 1\na: 2", "f.yaml:2: 'a' is written twice"),
        ("s:\n  x: 1\n  y: 2\n  x: 3", "f.yaml:4: 'x' is written twice"),
        ("a: &x [1]", "f.yaml:1: anchors are not supported: &x"),
        ("a: *x", "f.yaml:1: aliases are not supported: *x"),
        ("a: !!python/object/apply:os.system [id]", "tags are not supported"),
        ("a: !secret x", "tags are not supported: !secret"),
        ("a:\n  <<: {b: 1}", "f.yaml:2: merge keys are not supported"),
        ("? [a]\n: 1", "a key must be plain text"),
        ("a: b: c", "f.yaml:1: this is not YAML"),
        ("\t- a", "this is not YAML"),
        ('a: "\x00"', "this is not YAML"),
        ("a: \udc80", "this is not YAML"),
        ("- a", "f.yaml:1: a document is a mapping"),
        ("just text", "a document is a mapping"),
        ("a: " + "x" * 1_100_000, "larger than 1024 KiB"),
        ("[" * 100_000, "nested deeper than 32"),
        ("{a: " * 50_000, "nested deeper than 32"),
        ("- " * 50_000, "nested deeper than 32"),
        ("a: [" + "1," * 150_000 + "]", "more than 100000 values"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(text: str, words: str) -> None:
    """R15 D12: duplicate keys, aliases, tags, depth, size. Deep nesting once crashed the parser's own composer."""
    assert any(words in problem for problem in problems_of(text))


def test_all_problems_are_told_at_once() -> None:
    assert len(problems_of("a: 1\na: 2\n---\nb: &x 1\n---\n- c\n---\nd: *y\n")) == 4


def test_several_documents_keep_their_lines_and_empty_ones_are_left_out() -> None:
    documents = load_documents("---\nkind: a\n---\n---\n# nothing\n---\n\nkind: b\nspec:\n  x:\n    - 1\n", "f.yaml")
    assert [(document.kind, document.line) for document in documents] == [("a", 2), ("b", 8)]
    assert documents[1].lines["spec.x[0]"] == 11


def test_dates_and_times_of_day_stay_text() -> None:
    value = load_documents("{a: 2026-01-01T00:00:00Z, b: 8:30, c: 0755, d: 1_000, e: 2026-01-01, f: .inf}")[0].value
    assert all(isinstance(item, str) for item in value.values())


PRINTABLE = st.text(max_size=20).filter(str.isprintable)


@given(st.dictionaries(PRINTABLE, PRINTABLE, max_size=4))
@example({"no": "no", "a": "1e5", "b": "~", "c": "0x1f", "d": "2026-01-01", "e": "1:30", "f": "1_0", "": "", "g": "<<"})
def test_text_written_as_yaml_is_read_as_the_same_text(value: dict[str, str]) -> None:
    """The Norway problem: `no`, `1e5`, `~`, `0x1f`, dates … come back as the text they were."""
    assert load_documents(yaml.safe_dump(value, allow_unicode=True))[0].value == value


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    """D20: no other exception, whatever the input."""
    try:
        load_documents(text)
    except Invalid as refused:
        error = refused
    else:
        return
    assert error.problems
