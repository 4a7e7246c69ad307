"""A directory that takes connections and says nothing: the library lets go of it, and no thread spins on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from accounts.directory.connection import bound
from accounts.directory.entry import Down
from accounts.directory.hanging_up import hang_up
from broker.documents.connector_spec import LdapSpec


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections, keeps them and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield server.getsockname()[1]


def connecting() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "directory-connect"]


def test_a_handshake_that_is_not_answered_leaves_no_thread_behind(silent: int) -> None:
    """L27, D06: libldap would read for ever, and take a core with it."""
    spec = LdapSpec("corp", (f"ldaps://127.0.0.1:{silent}",), timeout=0.3)
    before = set(connecting())
    with pytest.raises(Down, match="did not answer in time"):
        bound(spec, "cn=reader,dc=example,dc=com", "secret")
    until = time.monotonic() + 10
    while set(connecting()) - before and time.monotonic() < until:
        time.sleep(0.02)
    assert not set(connecting()) - before


def test_only_connections_to_that_address_are_hung_up(silent: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        with (
            socket.create_connection(("127.0.0.1", silent)) as there,
            socket.create_connection(other.getsockname()) as elsewhere,
        ):
            assert hang_up(f"ldaps://127.0.0.1:{silent}") == 1
            assert there.recv(1) == b""
            elsewhere.settimeout(0.05)
            with pytest.raises(TimeoutError):
                elsewhere.recv(1)
