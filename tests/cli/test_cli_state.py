"""What is kept on disk, for whom, and what a damaged or foreign state does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from postern import certificate_cache, keys, state
from postern.errors import CliError, UsageProblem
from postern.state import Home, Session

from tests.cli.broker_double import TOKEN, BrokerDouble


def test_the_directory_and_all_in_it_is_for_nobody_else(alice: Session, home: Home) -> None:
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in home.path.rglob("*") if p.is_dir()} == {0o700}
    assert home.file("session.json").stat().st_mode & 0o777 == 0o600
    assert home.key.stat().st_mode & 0o777 == 0o600


def test_a_directory_that_was_open_is_closed(home: Home) -> None:
    home.path.mkdir(mode=0o755)
    home.path.chmod(0o755)
    home.prepare()
    assert home.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(home: Home) -> None:
    home.path.mkdir()
    os.chown(home.path, 65534, 65534)
    with pytest.raises(CliError, match="belongs to somebody else"):
        home.prepare()


def test_a_file_is_replaced_whole_and_not_through_a_link(home: Home, tmp_path: Path) -> None:
    home.prepare()
    (tmp_path / "target").write_text("before")
    home.file("url").symlink_to(tmp_path / "target")
    home.write("url", "https://b\n")
    assert (tmp_path / "target").read_text() == "before"
    assert not home.file("url").is_symlink()
    assert [path.name for path in home.path.iterdir() if path.name.startswith(".")] == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write("url", "https://old\n")

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        home.write("url", "https://new\n")
    assert home.last_url() == "https://old"
    assert sorted(path.name for path in home.path.iterdir()) == ["certs", "keys", "url"]


def test_the_place_follows_the_environment(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("POSTERN_HOME")
    assert Home.default().path == tmp_path / "me/.local/state/postern"
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert Home.default().path == Path("/xdg/postern")
    monkeypatch.setenv("POSTERN_HOME", "~/own")
    assert Home.default().path == tmp_path / "me/own"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"url": "x", "unknown": 1}'])
def test_a_damaged_sign_in_says_to_sign_in_again(home: Home, text: str) -> None:
    home.write("session.json", text)
    with pytest.raises(CliError, match="damaged") as caught:
        home.session()
    assert caught.value.hint == "run: postern login"


def test_forgetting_removes_key_token_and_certificates(alice: Session, home: Home) -> None:
    home.write("certs/root@db-1.postern-cert.pub", certificate_cache.line("t b", 2**40, "127.0.0.1", 22))
    home.forget()
    assert home.session() is None
    assert {path.name for path in home.path.rglob("*") if path.is_file()} == {"ssh_config", "known_hosts", "url"}
    assert TOKEN not in "".join(path.read_text() for path in home.path.rglob("*") if path.is_file())


def test_only_ended_certificates_are_swept(home: Home) -> None:
    for name, until in (("old", 100), ("new", 300)):
        home.write(f"certs/{name}-cert.pub", certificate_cache.line("t b", until, "h", 22))
    home.forget_certificates(expired_before=200)
    assert [path.name for path in (home.path / "certs").iterdir()] == ["new-cert.pub"]


def test_the_token_is_not_in_a_session_that_is_printed(alice: Session) -> None:
    assert TOKEN not in repr(alice)
    assert TOKEN not in f"{alice}"


def test_a_key_of_ones_own_must_have_both_halves(home: Home, broker: BrokerDouble, tmp_path: Path) -> None:
    own = broker.directory / "user_ca"
    assert keys.own(own) == keys.own(own.with_name("user_ca.pub")) == str(own)
    (tmp_path / "half.pub").write_text("ssh-ed25519 AAAA\n")
    with pytest.raises(UsageProblem, match="there is no"):
        keys.own(tmp_path / "half.pub")


def test_each_login_has_a_new_key(home: Home) -> None:
    first = Path(keys.make(home, "postern:alice") + ".pub").read_text()
    assert Path(keys.make(home, "postern:alice") + ".pub").read_text() != first
    assert sorted(path.name for path in home.key.parent.iterdir()) == ["id_ed25519", "id_ed25519.pub"]


def test_a_session_ends_by_its_own_time(alice: Session) -> None:
    assert not state.ended(alice, alice.expires_at - 1)
    assert state.ended(alice, alice.expires_at)
