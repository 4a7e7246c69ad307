"""Frame boundaries are found however the bytes are cut up."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.web.websocket_frames import FrameTooBig, FrameTracker, close_frame


def frame(size: int, mask: bytes = b"", opcode: int = 2) -> bytes:
    flag = 0x80 if mask else 0
    if size < 126:
        head = bytes((0x80 | opcode, flag | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, flag | 126)) + struct.pack("!H", size)
    else:
        head = bytes((0x80 | opcode, flag | 127)) + struct.pack("!Q", size)
    return head + mask + b"x" * size


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 125, 126, 300, 65535, 65536]), st.booleans()), min_size=1, max_size=5),
    st.lists(st.integers(1, 70_000), min_size=1, max_size=30),
)
def test_the_end_of_frames_is_a_boundary_and_their_middle_is_not(
    frames: list[tuple[int, bool]], cuts: list[int]
) -> None:
    data = b"".join(frame(size, b"mask" if masked else b"") for size, masked in frames)
    ends, at = {0}, 0
    for size, masked in frames:
        at += len(frame(size, b"mask" if masked else b""))
        ends.add(at)
    tracker, at = FrameTracker(1 << 20), 0
    for cut in [*cuts, len(data)]:
        piece = data[at : at + cut]
        tracker.feed(piece)
        at += len(piece)
        assert tracker.at_boundary == (at in ends)


def test_a_frame_beyond_the_limit_is_not_taken_note_of() -> None:
    """D08."""
    tracker = FrameTracker(100)
    tracker.feed(frame(100))
    with pytest.raises(FrameTooBig):
        tracker.feed(frame(1) + frame(101))
    assert tracker.at_boundary


def test_a_close_frame_says_why_and_fits() -> None:
    assert close_frame(4401, "locked") == b"\x88\x08" + struct.pack("!H", 4401) + b"locked"
    long = close_frame(4401, "é" * 200)
    assert long[1] <= 125
    long[4:].decode()
    masked = close_frame(1001, "", b"\x01\x02\x03\x04")
    assert masked[1] & 0x80
    tracker = FrameTracker(125)
    tracker.feed(masked)
    assert tracker.at_boundary
    assert tracker.closing
