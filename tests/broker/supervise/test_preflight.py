"""What must hold before anything is started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from broker.environment import Environment
from broker.errors import PosternError
from broker.supervise.preflight import check_ports, listeners, take_lock


def env(**values: str) -> Environment:
    """Settings with some of them given."""
    return Environment(**values)  # type: ignore[arg-type]


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PosternError, match=f"port {port} is in use") as refused:
            check_ports(env(url=f"http://postern.localhost:{port}"))
    assert "--port" in refused.value.hint


def test_a_port_that_was_just_left_is_free() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
    check_ports(env(url=f"http://postern.localhost:{port}"))


def test_an_address_that_is_not_ours_is_refused_in_words() -> None:
    with pytest.raises(PosternError, match=r"cannot listen on 192\.0\.2\.1:18080"):
        check_ports(env(listen="192.0.2.1:18080"))


@pytest.mark.parametrize("text", ["localhost", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:http", "8080"])
def test_a_listener_that_cannot_be_meant_is_refused(text: str) -> None:
    if text == "8080":
        assert list(listeners(env(listen=text))) == [("0.0.0.0", 8080)]
        return
    with pytest.raises(PosternError, match="POSTERN_LISTEN"):
        list(listeners(env(listen=text)))


def test_listeners_are_read_from_a_list() -> None:
    home = env(listen="127.0.0.1:80, [::1]:81 *:82")
    assert list(listeners(home)) == [("127.0.0.1", 80), ("::1", 81), ("0.0.0.0", 82)]


def test_a_second_supervisor_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    with take_lock(tmp_path / "up.lock"):
        with pytest.raises(PosternError, match=r"runs already on .* \(process \d+\)"):
            take_lock(tmp_path / "up.lock")
    take_lock(tmp_path / "up.lock").close()


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "victim"
    target.write_text("precious")
    (tmp_path / "up.lock").symlink_to(target)
    with pytest.raises(PosternError, match="cannot be opened"):
        take_lock(tmp_path / "up.lock")
    assert target.read_text() == "precious"
