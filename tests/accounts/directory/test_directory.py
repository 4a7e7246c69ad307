"""A directory that does not answer: left alone for a while, then tried by one, whom nobody else waits for."""

from __future__ import annotations

import threading
import time
from typing import Any

import ldap
import pytest

from accounts.directory import directory as module
from accounts.directory.directory import Directory
from accounts.directory.entry import Down
from broker.documents.connector_spec import LdapSpec

SPEC = LdapSpec("corp", ("ldap://127.0.0.1:9",), user_base="dc=example", user_filter="(uid={name})")


def is_down_for(directory: Directory, name: str) -> None:
    with pytest.raises(Down):
        directory.find(name)


def test_after_the_rest_one_tries_and_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """L28: who comes meanwhile hears at once that it is down, so one that hangs does not hold every thread."""
    tried: list[float] = []
    goes_on = threading.Event()

    def hangs(*_: Any) -> Any:
        tried.append(time.monotonic())
        if len(tried) > 1:
            goes_on.wait(10)
        raise Down("it did not answer in time")

    monkeypatch.setattr(module, "bound", hangs)
    monkeypatch.setattr(module, "REST", 0.05)
    directory = Directory(SPEC, "")
    with pytest.raises(Down):
        directory.find("alice")
    time.sleep(0.06)
    monkeypatch.setattr(module, "REST", 30.0)
    first = threading.Thread(target=is_down_for, args=(directory, "alice"))
    first.start()
    try:
        until = time.monotonic() + 5
        while len(tried) < 2 and time.monotonic() < until:
            time.sleep(0.005)
        others = [threading.Thread(target=is_down_for, args=(directory, "bob")) for _ in range(8)]
        for other in others:
            other.start()
        for other in others:
            other.join(2)
        assert not any(other.is_alive() for other in others)
        assert len(tried) == 2
    finally:
        goes_on.set()
        first.join(5)


def test_one_that_answers_again_rests_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = False

    def bound(*_: Any) -> Any:
        if not answers:
            raise Down("no")
        raise ldap.INVALID_CREDENTIALS

    monkeypatch.setattr(module, "bound", bound)
    monkeypatch.setattr(module, "REST", 0.02)
    directory = Directory(SPEC, "")
    with pytest.raises(Down):
        directory.find("alice")
    time.sleep(0.03)
    monkeypatch.setattr(module, "REST", 30.0)
    answers = True
    for _ in range(3):
        with pytest.raises(Down, match="refuses"):
            directory.find("alice")
        assert not directory.rests
