"""Connections that hang: given up in time, closed when they come late, and few at a time."""

from __future__ import annotations

import os
import threading
import time

import pytest

from accounts.directory import deadline
from accounts.directory.deadline import in_time
from accounts.directory.entry import Down

URL = "ldaps://directory.example.com"


@pytest.fixture
def hanging() -> threading.Event:
    return threading.Event()


def test_what_comes_in_time_is_given_on_and_errors_too() -> None:
    assert in_time(URL, lambda: "here", lambda _: None, 5) == "here"
    with pytest.raises(KeyError):
        in_time(URL, lambda: os.environ["NO_SUCH_VARIABLE"], lambda _: None, 5)


def test_what_comes_late_is_given_up_and_closed(hanging: threading.Event) -> None:
    closed: list[str] = []

    def late() -> str:
        hanging.wait(10)
        return "late"

    began = time.monotonic()
    with pytest.raises(Down, match="in time"):
        in_time(URL, late, closed.append, 0.05)
    assert time.monotonic() - began < 5
    hanging.set()
    until = time.monotonic() + 5
    while not closed and time.monotonic() < until:
        time.sleep(0.01)
    assert closed == ["late"]


def test_so_many_hang_at_a_time_and_other_addresses_are_tried(
    hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "MOST", 2)
    url = "ldaps://hangs.example.com"
    try:
        for _ in range(2):
            with pytest.raises(Down, match="in time"):
                in_time(url, lambda: hanging.wait(10), lambda _: None, 0.01)
        with pytest.raises(Down, match="too many"):
            in_time(url, lambda: True, lambda _: None, 5)
        assert in_time("ldaps://other.example.com", lambda: True, lambda _: None, 5)
    finally:
        hanging.set()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            assert in_time(url, lambda: True, lambda _: None, 5)
            return
        except Down:
            time.sleep(0.01)
    pytest.fail("what hung came back, and its place did not")
