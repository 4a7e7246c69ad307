"""Which processes there are: the one that follows directories only where the LDAP library is installed."""

from __future__ import annotations

import socket
import sys

import pytest
from django.conf import settings

from broker.supervise import plan


def names() -> list[str]:
    with socket.socket(socket.AF_UNIX) as listener:
        return [program.name for program in plan.programs(settings.POSTERN, listener)]


def test_directories_are_followed_where_the_library_is() -> None:
    assert names()[-1] == "directory"
    with socket.socket(socket.AF_UNIX) as listener:
        assert not plan.programs(settings.POSTERN, listener)[-1].essential


def test_without_the_library_everything_else_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ldap", "django_auth_ldap"):
        monkeypatch.setitem(sys.modules, name, None)
    assert names() == ["web", "authz", "edge", "worker"]
