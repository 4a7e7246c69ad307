"""login, logout, status: from nobody to alice and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from postern import oauth
from postern.browser import open_page
from postern.commands import login as login_command
from postern.state import Home, Session

from tests.cli.broker_double import TOKEN, BrokerDouble, iso
from tests.cli.conftest import Ran, postern_process

Postern = Callable[..., Ran]


@pytest.fixture
def browser(broker: BrokerDouble, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A browser in which alice signs in at once; the addresses it was sent to."""
    sent: list[str] = []

    def open_(address: str) -> bool:
        sent.append(address)
        if "/oauth/authorize?" not in address:
            return True
        target = broker.authorize(address)
        threading.Thread(target=lambda: urllib.request.urlopen(target, timeout=10).read()).start()
        return True

    monkeypatch.setattr("webbrowser.open", open_)
    monkeypatch.setenv("DISPLAY", ":0")
    return sent


def test_nobody_is_signed_in_at_first(postern: Postern) -> None:
    ran = postern("status")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "error: not signed in\nhint: run: postern login\n"


def test_login_through_the_browser(postern: Postern, home: Home, broker: BrokerDouble, browser: list[str]) -> None:
    ran = postern("login", broker.url)
    assert ran.code == 0, ran.err
    assert ran.out.startswith(f"> Broker:             {broker.url}\n  Logged in as:       alice\n")
    assert browser[0] in ran.err
    assert "device_name=" in browser[0]
    session = home.session()
    assert session is not None
    assert (session.url, session.token, session.user) == (broker.url, TOKEN, "alice")
    assert home.known_hosts.read_text().startswith("@cert-authority *.postern,[*.postern]:* ssh-ed25519 ")
    assert "ProxyUseFdpass yes" in home.ssh_config.read_text()


def test_the_token_is_in_no_output_and_only_in_one_file(
    postern: Postern, home: Home, broker: BrokerDouble, browser: list[str]
) -> None:
    ran = postern("login", broker.url)
    assert TOKEN not in ran.out + ran.err + postern("status", "-o", "json").out
    holders = [path.name for path in home.path.rglob("*") if path.is_file() and TOKEN in path.read_text()]
    assert holders == ["session.json"]


def test_login_on_a_machine_without_a_browser(home: Home, broker: BrokerDouble) -> None:
    command = [sys.executable, "-m", "postern", "login", "--no-browser", broker.url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        address = next(line.strip() for line in process.stderr if "/oauth/authorize?" in line)
        target = broker.authorize(address)
        assert target.startswith(f"{broker.url}/oauth/code?")
        out, err = process.communicate("the-code\n", timeout=60)
    assert process.returncode == 0, err
    assert "Logged in as:       alice" in out


def test_no_browser_is_opened_inside_the_terminal(browser: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_page("https://b") is True
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    browser.clear()
    assert open_page("https://b") is False
    assert browser == []


def test_a_wrong_code_signs_nobody_in(home: Home, broker: BrokerDouble) -> None:
    ran = postern_process("login", "--no-browser", broker.url, typed="stolen-code\n")
    assert ran.code == 3
    assert "did not take the code" in ran.err
    assert home.session() is None


def test_a_broker_that_is_down_is_said_before_the_browser_opens(
    postern: Postern, broker: BrokerDouble, browser: list[str]
) -> None:
    broker.close()
    ran = postern("login", broker.url)
    assert (ran.code, browser) == (1, [])
    assert ran.err.startswith(f"error: cannot reach {broker.url}: connection refused\nhint: ")


def test_a_failed_login_keeps_the_old_one(
    postern: Postern, home: Home, alice: Session, broker: BrokerDouble, browser: list[str]
) -> None:
    broker.answers["GET /api/v1/ssh"] = (500, {"detail": "something went wrong here"})
    assert postern("login", broker.url).code == 1
    assert home.session() == alice
    assert home.key.exists()


def test_login_again_ends_the_old_session_and_changes_the_key(
    postern: Postern, home: Home, alice: Session, broker: BrokerDouble, browser: list[str]
) -> None:
    key = home.key.read_text()
    home.write("certs/root@db-1.postern-cert.pub", "old")
    assert postern("login").code == 0
    assert home.key.read_text() != key
    assert list((home.path / "certs").iterdir()) == []
    assert len(broker.asked_for("DELETE /api/v1/session")) == 1


def test_login_certifies_a_key_of_ones_own(
    postern: Postern, home: Home, broker: BrokerDouble, browser: list[str], tmp_path: Path
) -> None:
    own = broker.directory / "user_ca"
    assert postern("login", broker.url, "--key", f"{own}.pub").code == 0
    assert not home.key.exists()
    assert f'IdentityFile "{own}"' in home.ssh_config.read_text()


def test_logout_ends_the_session_there_and_here(
    postern: Postern, home: Home, alice: Session, broker: BrokerDouble
) -> None:
    ran = postern("logout")
    assert (ran.code, ran.out) == (0, f"signed out of {broker.url}\n")
    assert broker.asked[0].headers["Authorization"] == f"DPoP {TOKEN}"
    assert home.session() is None
    assert not home.key.exists()
    assert postern("ls").code == 3


def test_logout_works_here_when_the_broker_is_down(
    postern: Postern, home: Home, alice: Session, broker: BrokerDouble
) -> None:
    broker.close()
    ran = postern("logout")
    assert ran.code == 0
    assert "on this machine only: cannot reach" in ran.err
    assert home.session() is None


def test_logout_twice_is_fine(postern: Postern, home: Home, alice: Session) -> None:
    postern("logout")
    assert postern("logout").code == 0


def test_a_token_goes_to_no_other_broker(
    postern: Postern, alice: Session, broker: BrokerDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = BrokerDouble(tmp_path / "other")
    try:
        assert postern("--url", other.url, "status").code == 3
        monkeypatch.setenv("POSTERN_URL", other.url)
        ran = postern("ls")
        assert ran.code == 3
        assert f"not signed in to {other.url}, but to {broker.url}" in ran.err
        assert other.asked == []
    finally:
        other.close()


def test_a_session_ended_elsewhere_says_so(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    broker.answers["GET /api/v1/status"] = (401, {"detail": "nobody is signed in", "request_id": "r7"})
    ran = postern("status")
    assert ran.code == 3
    assert ran.err == "error: not signed in any more\nhint: run: postern login\nrequest id: r7\n"


def test_status_reads_like_tsh() -> None:
    answer = {
        "user": "alice",
        "roles": ["dev", "ops"],
        "groups": ["sre"],
        "traits": {"teams": ["a", "b"]},
        "session": {"expires_at": iso(1000 + 7 * 3600 + 59 * 60), "mfa_at": iso(700), "amr": ["pwd", "otp"]},
    }
    assert login_command.status_text("https://b", answer, now=1000) == (
        "> Broker:             https://b\n"
        "  Logged in as:       alice\n"
        "  Roles:              dev, ops\n"
        "  Groups:             sre\n"
        "  Trait teams:        a, b\n"
        "  Signed in with:     pwd, otp\n"
        "  Second factor:      5m ago\n"
        "  Valid until:        1970-01-01 08:15:40 UTC [valid for 7h59m]"
    )


def test_status_as_json_is_what_the_broker_says_and_where(
    postern: Postern, alice: Session, broker: BrokerDouble
) -> None:
    for arguments in (("status", "-o", "json"), ("-o", "json", "status")):
        answer = json.loads(postern(*arguments).out)
        assert (answer["url"], answer["user"], answer["roles"]) == (broker.url, "alice", ["dev", "ops"])
    assert postern("status", "-o", "yaml").out.startswith("url: http://")


def test_what_the_broker_says_cannot_drive_the_terminal(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    broker.answers["GET /api/v1/status"] = (200, broker.status(roles=["dev\x1b]0;owned\x07"]))
    ran = postern("status")
    assert "\x1b" not in ran.out
    assert "dev\\x1b]0;owned\\x07" in ran.out


def test_the_device_name_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "laptöp\n\x1b" + "x" * 100)
    assert oauth.device_name() == "laptp" + "x" * 55


def test_files_made_under_a_loose_umask_are_still_closed(broker: BrokerDouble, alice: Session, home: Home) -> None:
    before = os.umask(0)
    try:
        home.write("url", "x")
    finally:
        os.umask(before)
    assert home.file("url").stat().st_mode & 0o777 == 0o600
