"""ls, why, ssh, ssh-config, cert, app: what they send, print and end with."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from postern import ssh_files
from postern.commands import apps, ssh, why
from postern.errors import CliError, UsageProblem
from postern.state import Home, Session

from tests.cli.broker_double import DENIED, BrokerDouble, iso
from tests.cli.conftest import Ran, postern_process, sign_in
from tests.real.sshd import ME, Sshd

Postern = Callable[..., Ran]
GRAFANA = {
    "kind": "app",
    "name": "grafana",
    "labels": {"env": "prod", "a": "b"},
    "description": "graphs",
    "url": "http://grafana.postern.localhost:1/",
}
DB_1 = {"kind": "server", "name": "db-1", "labels": {"env": "prod"}, "description": "", "logins": ["root", "postgres"]}


# --- ls


def test_ls_shows_what_may_be_used(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    broker.answers["GET /api/v1/resources"] = (200, {"items": [GRAFANA, DB_1], "next": None})
    assert postern("ls").out == (
        "App     Address                             Labels       Description\n"
        "------- ----------------------------------- ------------ -----------\n"
        "grafana http://grafana.postern.localhost:1/ a=b,env=prod graphs\n"
        "\n"
        "Server Logins        Labels   Description\n"
        "------ ------------- -------- -----------\n"
        "db-1   root,postgres env=prod\n"
    )


def test_ls_asks_for_one_kind_and_a_search(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    broker.answers["GET /api/v1/resources"] = (200, {"items": [], "next": None})
    assert postern("ls", "servers", "--search", "env=prod").out == "nothing you may use has that in it\n"
    assert broker.asked[0].query == {"kind": "server", "search": "env=prod", "limit": "200"}
    assert postern("ls", "-o", "json").out == "[]\n"


# --- why


def test_why_sends_the_question_and_prints_each_role(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    broker.answers["POST /api/v1/why"] = (
        200,
        {
            "subject": "bob",
            "decision": "denial",
            "text": "no role allows the login root",
            "hint": "ask for one",
            "reasons": [{"reason": "login-not-allowed", "text": "no role allows the login root"}],
            "terms": {},
            "roles": [
                {"role": "dev", "via": "group sre", "outcome": "no", "failed": "x", "text": "logins: app is not root"}
            ],
            "assumed": "",
        },
    )
    ran = postern("why", "bob", "ssh.session", "root@db-1", "--address", "10.0.0.1")
    assert ran.code == 0
    assert ran.out == (
        "bob ssh.session root@db-1: denied (login-not-allowed)\n"
        "  no role allows the login root\n"
        "  hint: ask for one\n"
        "\n"
        "Role Through   Outcome Why\n"
        "---- --------- ------- -----------------------\n"
        "dev  group sre no      logins: app is not root\n"
    )
    assert broker.asked[0].body == {
        "action": "ssh.session",
        "resource": {"kind": "server", "name": "db-1"},
        "user": "bob",
        "login": "root",
        "address": "10.0.0.1",
    }


@pytest.mark.parametrize(
    ("words", "understood"),
    [
        (["alice", "app.request", "grafana"], ("alice", "app.request", "grafana")),
        (["app.request", "grafana"], ("", "app.request", "grafana")),
        (["ssh.session", "root@db-1"], ("", "ssh.session", "root@db-1")),
        (["alice", "certificate.issue"], ("alice", "certificate.issue", "")),
        (["alice@example.com", "console.open"], ("alice@example.com", "console.open", "")),
        (["a.person", "app.request", "grafana"], ("a.person", "app.request", "grafana")),
        (["a.person", "console.open"], ("a.person", "console.open", "")),
        (["certificate.issue"], ("", "certificate.issue", "")),
    ],
)
def test_why_understands_with_and_without_a_subject(words: list[str], understood: tuple[str, str, str]) -> None:
    assert why.understood(words) == understood


def test_why_without_an_action_is_wrong_usage(postern: Postern, alice: Session) -> None:
    assert postern("why", "alice", "grafana.x", "y").code == 2
    assert postern("why", "a", "b.c", "d", "e").code == 2


# --- ssh


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        (["root@db-1"], ["root@db-1.postern"]),
        (["db-1", "uptime", "-p"], ["db-1.postern", "uptime", "-p"]),
        (["root@db-1.postern"], ["root@db-1.postern"]),
        (["-v", "-L", "1:h:2", "root@db-1"], ["-v", "-L", "1:h:2", "root@db-1.postern"]),
        (["-vL1:h:2", "db-1", "-F", "x"], ["-vL1:h:2", "db-1.postern", "-F", "x"]),
        (["-o", "SendEnv=X", "-t", "db-1"], ["-o", "SendEnv=X", "-t", "db-1.postern"]),
        (["-l", "root", "--", "db-1", "ls"], ["-l", "root", "--", "db-1.postern", "ls"]),
    ],
)
def test_ssh_passes_on_everything_but_the_name(typed: list[str], given: list[str]) -> None:
    assert ssh.with_host(typed, "postern") == given


@pytest.mark.parametrize(
    "typed",
    [
        ["-oProxyCommand=id"],
        ["-v"],
        ["-L"],
        ["-F", "other", "db-1"],
        ["-vF", "other", "db-1"],
        ["$(id)@db-1"],
        ["root@$(id)"],
        ["@"],
        ["root@-oProxyCommand=id"],
        ["ssh://root@db-1"],
    ],
)
def test_ssh_refuses_what_is_no_destination(typed: list[str]) -> None:
    """I15, G19."""
    with pytest.raises(UsageProblem):
        ssh.with_host(typed, "postern")


def test_postern_ssh_runs_a_command_and_ends_with_its_code(home: Home, broker: BrokerDouble, tmp_path: Path) -> None:
    sign_in(home, broker)
    with Sshd(tmp_path, "db-1", user_ca=broker.user_ca, certify_host=broker.certify_host("db-1")) as server:
        broker.server_port = server.port
        ran = postern_process("ssh", "-o", "BatchMode=yes", f"{ME}@db-1", "cat; exit 7", typed="typed\n")
    assert (ran.code, ran.out) == (7, "typed\n"), ran.err


def test_postern_ssh_needs_a_sign_in(postern: Postern) -> None:
    assert postern("ssh", "root@db-1").code == 3


# --- ssh-config


def test_install_adds_one_line_at_the_top_and_uninstall_takes_it_out(postern: Postern, home: Home) -> None:
    config = Path.home() / ".ssh" / "config"
    config.parent.mkdir(mode=0o700)
    before = "# mine\nHost *\n    ServerAliveInterval 7\n"
    config.write_text(before)
    config.chmod(0o640)
    for _ in range(2):
        assert postern("ssh-config", "--install", "--yes").code == 0
    assert config.read_text() == f'Include "{home.ssh_config}"\n{before}'
    assert config.stat().st_mode & 0o777 == 0o640
    done = subprocess.run(
        ["ssh", "-G", "-F", str(config), "root@db-1.postern"], capture_output=True, text=True, check=True
    )
    assert "serveraliveinterval 7" in done.stdout
    assert "proxyusefdpass yes" in done.stdout
    assert f"userknownhostsfile {home.known_hosts}" in done.stdout
    other = subprocess.run(["ssh", "-G", "-F", str(config), "github.com"], capture_output=True, text=True, check=True)
    assert "proxyusefdpass no" in other.stdout
    assert "serveraliveinterval 7" in other.stdout
    assert postern("ssh-config", "--uninstall").code == 0
    assert config.read_text() == before


def test_install_makes_the_directory_and_follows_a_link(postern: Postern, home: Home, tmp_path: Path) -> None:
    assert postern("ssh-config", "--install", "--yes").code == 0
    config = Path.home() / ".ssh" / "config"
    assert config.parent.stat().st_mode & 0o777 == 0o700
    assert config.stat().st_mode & 0o777 == 0o600
    config.rename(tmp_path / "dotfiles")
    config.symlink_to(tmp_path / "dotfiles")
    assert postern("ssh-config", "--uninstall").code == 0
    assert config.is_symlink()
    assert (tmp_path / "dotfiles").read_text() == ""


def test_install_keeps_every_other_byte(postern: Postern, home: Home) -> None:
    config = Path.home() / ".ssh" / "config"
    config.parent.mkdir(mode=0o700)
    before = b"# caf\xe9\r\nHost a\x0c\r\n  User b"
    config.write_bytes(before)
    postern("ssh-config", "--install", "--yes")
    assert config.read_bytes() == f'Include "{home.ssh_config}"\n'.encode() + before
    postern("ssh-config", "--uninstall")
    assert config.read_bytes() == before


def test_install_asks_and_without_a_terminal_refuses(home: Home) -> None:
    ran = postern_process("ssh-config", "--install")
    assert ran.code == 2
    assert "add --yes" in ran.err
    assert not (Path.home() / ".ssh" / "config").exists()


@pytest.mark.parametrize("path", ['/a"b', "/a\nProxyCommand id", "/a\\b", "/a\x00b"])
def test_a_path_that_would_break_out_of_the_configuration_is_refused(path: str) -> None:
    """I15."""
    with pytest.raises(CliError):
        ssh_files.ssh_config(path, "/key", "postern", "/python", "/proxy.py")


def test_odd_paths_reach_ssh_as_they_are(tmp_path: Path) -> None:
    """I15: blanks, quotes, per cent and dollar signs, read back by the real ssh."""
    home = "/a b/it's 100%d $(id)/`x`"
    file = tmp_path / "config"
    file.write_text(ssh_files.ssh_config(home, f"{home}/key", "postern", "/py thon", "/pro'xy.py"))
    done = subprocess.run(
        ["ssh", "-G", "-F", str(file), "root@db-1.postern"], capture_output=True, text=True, check=True
    )
    options = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert options["userknownhostsfile"].replace("%%", "%") == f"{home}/known_hosts"
    assert options["identityfile"].replace("%%", "%") == f"{home}/key"
    shell = options["proxycommand"].replace("%r", "root").replace("%n", "db-1.postern").replace("%%", "%")
    split = subprocess.run(["sh", "-c", f"printf '%s\\n' {shell}"], capture_output=True, text=True, check=True)
    assert split.stdout.splitlines() == [
        "/py thon", "-I", "-S", "-E", "/pro'xy.py", home, "postern", "root", "db-1.postern",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "key", ["ssh-ed25519", "ssh-ed25519 AA\n* ssh-ed25519 BB", "* ssh-ed25519 AAAA", "ssh-dss AAAA"]
)
def test_a_host_ca_key_that_is_none_is_not_trusted(key: str) -> None:
    """I15: known_hosts holds CA lines of ours and nothing that came with them."""
    if "\n" in key:
        assert ssh_files.known_hosts([key], "postern").count("\n") == 1
        return
    with pytest.raises(CliError):
        ssh_files.known_hosts([key], "postern")


# --- cert


def test_cert_access_writes_a_certificate_ssh_keygen_can_read(
    postern: Postern, alice: Session, broker: BrokerDouble, tmp_path: Path
) -> None:
    key = broker.directory / "user_ca.pub"
    ran = postern("cert", "access", "root@db-1", "--key", str(key), "--out", str(tmp_path / "c-cert.pub"))
    assert ran.code == 0, ran.err
    assert "root@db-1, serial 42, " in ran.out
    shown = subprocess.run(["ssh-keygen", "-L", "-f", str(tmp_path / "c-cert.pub")], capture_output=True, text=True)
    assert "root@db-1" in shown.stdout
    assert broker.asked[0].body["public_key"] == key.read_text().strip()


def test_cert_access_prints_it_without_out(postern: Postern, alice: Session) -> None:
    assert postern("cert", "access", "root@db-1").out.startswith("ssh-ed25519-cert-v01@openssh.com ")


def test_a_private_key_is_never_sent(postern: Postern, alice: Session, home: Home, broker: BrokerDouble) -> None:
    ran = postern("cert", "access", "root@db-1", "--key", str(home.key))
    assert ran.code == 2
    assert "is a private key" in ran.err
    assert broker.asked == []


@pytest.mark.parametrize("target", ["db-1", "root@", "@db-1", "r$(id)@db-1", "root@db/1"])
def test_cert_access_wants_login_and_server(
    postern: Postern, alice: Session, broker: BrokerDouble, target: str
) -> None:
    assert postern("cert", "access", target).code == 2
    assert broker.asked == []


def test_cert_show_lists_what_ssh_fetched(postern: Postern, alice: Session, home: Home, broker: BrokerDouble) -> None:
    from postern import renew

    assert postern("cert", "show").out == "none; ssh fetches them when it needs them\n"
    renew.fetch(home, "root", "db-1", "db-1.postern")
    ran = postern("cert", "show")
    assert "root@db-1.postern 127.0.0.1:22" in ran.out
    assert "[valid for 4m" in ran.out
    assert json.loads(postern("cert", "show", "-o", "json").out)[0]["port"] == 22


# --- app


@pytest.fixture
def grafana(broker: BrokerDouble) -> Iterator[list[dict[str, Any]]]:
    """An app behind its own address; the requests it got."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            seen.append({"method": self.command, "path": self.path, "body": body, **self.headers})
            content = b'{"database": "ok"}'
            self.send_response(200 if self.path != "/broken" else 502)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://grafana.postern.localhost:{server.server_port}/"
    broker.answers["POST /api/v1/app-tokens"] = (200, {"token": "ptn_app_secret", "expires_at": iso(2e9), "url": url})
    yield seen
    server.shutdown()
    server.server_close()


def test_app_curl_calls_the_app_signed_in(alice: Session, broker: BrokerDouble, grafana: list[dict[str, Any]]) -> None:
    ran = postern_process("app", "curl", "grafana", "/api/health?a=[1]", "-s", "-X", "POST", "-d", "@-", typed="body")
    assert (ran.code, ran.out) == (0, '{"database": "ok"}'), ran.err
    (request,) = grafana
    assert (request["method"], request["path"], request["body"]) == ("POST", "/api/health?a=[1]", "body")
    assert request["Authorization"] == "Bearer ptn_app_secret"
    assert broker.asked[0].body == {"app": "grafana"}


def test_app_curl_without_a_path_asks_for_the_root(alice: Session, grafana: list[dict[str, Any]]) -> None:
    assert postern_process("app", "curl", "grafana", "-s", "-o", "/dev/null").code == 0
    assert grafana[0]["path"] == "/"


def test_app_curl_ends_with_curls_own_code(alice: Session, grafana: list[dict[str, Any]]) -> None:
    assert postern_process("app", "curl", "grafana", "/broken", "-sf").code == 22


def test_the_app_token_is_in_no_process_list(alice: Session, broker: BrokerDouble) -> None:
    """The command line and environment of the running curl, read from /proc while it waits for an answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://grafana.postern.localhost:{silent.getsockname()[1]}/"
        broker.answers["POST /api/v1/app-tokens"] = (200, {"token": "ptn_app_secret", "expires_at": "", "url": url})
        command = ["postern", "app", "curl", "grafana", "/", "-s"]
        process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE)
        try:
            connection, _ = silent.accept()
            with connection:
                assert b"Authorization: Bearer ptn_app_secret" in connection.recv(4096)
                proc = Path(f"/proc/{process.pid}")
                assert proc.joinpath("cmdline").read_bytes().startswith(b"curl\0--config\0/dev/fd/")
                assert b"ptn_" not in proc.joinpath("cmdline").read_bytes() + proc.joinpath("environ").read_bytes()
        finally:
            process.kill()
            process.communicate()


def test_without_curl_the_simple_things_still_work(
    postern: Postern, alice: Session, grafana: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    ran = postern("app", "curl", "grafana", "/api", "-H", "X-A: b", "-d", "x=1")
    assert (ran.code, ran.out) == (0, '{"database": "ok"}')
    assert (grafana[0]["method"], grafana[0]["X-A"], grafana[0]["body"]) == ("POST", "b", "x=1")
    assert postern("app", "curl", "grafana", "/broken").code == 1
    ran = postern("app", "curl", "grafana", "/", "--compressed")
    assert ran.code == 1
    assert "needs curl, which is not installed" in ran.err


@pytest.mark.parametrize("path", ["http://evil.example/", "api", "//evil\n", "/a\nheader = x"])
def test_app_curl_takes_a_path_and_no_address(
    postern: Postern, alice: Session, broker: BrokerDouble, path: str
) -> None:
    assert postern("app", "curl", "grafana", path).code == 2
    assert broker.asked == []


def test_a_quote_in_the_path_stays_in_the_path() -> None:
    config = apps.curl_config('http://a.postern.localhost:1/x"\\y', "t")
    assert 'url = "http://a.postern.localhost:1/x\\"\\\\y"\n' in config
    with pytest.raises(UsageProblem):
        apps.curl_config("http://a/\nproxy = evil", "t")


def test_app_token_prints_the_token_alone(postern: Postern, alice: Session, grafana: list[dict[str, Any]]) -> None:
    assert postern("app", "token", "grafana").out == "ptn_app_secret\n"


def test_app_open_opens_the_browser_at_the_app(
    postern: Postern, alice: Session, broker: BrokerDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    broker.answers["GET /api/v1/resources"] = (200, {"items": [GRAFANA | {"name": "grafana-2"}, GRAFANA], "next": None})
    assert postern("app", "open", "grafana").code == 0
    assert opened == [GRAFANA["url"]]
    assert postern("app", "open", "grafan").code == 1


def test_a_denial_prints_reasons_hint_and_request_id(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    broker.answers["POST /api/v1/app-tokens"] = DENIED
    ran = postern("app", "token", "grafana")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == (
        "error: no role lets you log in as root on db-1\n"
        "  no role of yours allows the login root (login-not-allowed)\n"
        "hint: ask an administrator for a role with the login root\n"
        "request id: 4f2a9c\n"
    )


# --- all of them


def test_every_command_has_help_with_an_example(postern: Postern) -> None:
    def walk(command: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        shown = postern(*command, "--help")
        assert shown.code == 0
        if "\nCommands:\n" not in shown.out:
            yield command
            assert f"  postern {' '.join(command)}" in shown.out or command == ("version",), shown.out
            return
        for line in shown.out.split("\nCommands:\n")[1].splitlines():
            yield from walk((*command, line.split()[0]))

    assert len(list(walk(()))) > 25


def test_wrong_usage_is_two(postern: Postern) -> None:
    assert postern("nonsense").code == 2
    assert postern("ls", "nonsense").code == 2
    assert postern("status", "-o", "xml").code == 2
    assert postern("version").code == 0
