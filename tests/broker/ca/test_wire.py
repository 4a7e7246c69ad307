"""The wire format: what is written is read back, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.ca.wire import Malformed, Reader, mpint, string, uint32, uint64


@given(st.binary(max_size=64))
def test_no_bytes_make_the_reader_fail_in_another_way(data: bytes) -> None:
    for read in (Reader.uint32, Reader.uint64, Reader.string, Reader.mpint):
        try:
            read(Reader(data))
        except Malformed:
            continue


@pytest.mark.parametrize(
    "data",
    [b"\0\0\0\2\0\1", b"\0\0\0\1\xff", b"\0\0\0\1\0", b"\0\0\0\3\1"],
    ids=["padded", "negative", "zero", "short"],
)
def test_a_number_in_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Reader(data).mpint()


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=99), st.integers(0, 2**600))
def test_values_come_back(small: int, large: int, data: bytes, number: int) -> None:
    reader = Reader(uint32(small) + uint64(large) + string(data) + mpint(number))
    assert (reader.uint32(), reader.uint64(), reader.string(), reader.mpint()) == (small, large, data, number)
    reader.end()
