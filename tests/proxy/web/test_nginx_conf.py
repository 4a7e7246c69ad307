"""The configuration: golden files, what every proxied location must hold, and nginx's own word on it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from broker.documents import AppSpec
from broker.documents.spec import HeaderRewrite, UpstreamTls
from proxy.web import nginx_binary
from proxy.web.nginx_conf import Front, Site, render
from proxy.web.nginx_process import MIME_TYPES
from proxy.web.nginx_text import quoted, quoted_path
from proxy.web.request_headers import IDENTITY, NEVER_FROM_CLIENTS

GOLDEN = Path(__file__).parent / "golden"


def front(**changes: object) -> Front:
    said = {
        "host": "postern.localhost",
        "netloc_port": ":8080",
        "scheme": "http",
        "listen": ("127.0.0.1:8080",),
        "run_dir": "/run/postern/nginx",
        "static_dir": "/var/postern/static",
        "access_log": "/var/postern/log/access.log",
        "authz_sockets": ("/run/postern/authz.sock",),
        "web_socket": "/run/postern/web.sock",
        "tunnel_socket": "/run/postern/tunnel.sock",
        "ca_bundle": "/etc/ssl/certs/ca-certificates.crt",
    }
    return Front(**(said | changes))  # type: ignore[arg-type]


WIKI = Site(
    "11111111-0000-4000-8000-000000000001",
    "wiki.postern.localhost",
    AppSpec("wiki", "http://10.0.0.5:3000"),
    ("10.0.0.5",),
)
VAULT = Site(
    "22222222-0000-4000-8000-000000000002",
    "vault.postern.localhost",
    AppSpec(
        "vault",
        "https://vault.internal:8200",
        headers=HeaderRewrite({"X-Literal": 'say "$host" \\ now'}, ("User-Agent",)),
        host="public",
        tls=UpstreamTls(server_name="vault.example"),
        max_body=1048576,
    ),
    ("10.0.0.6", "fd00::6"),
    "/run/postern/nginx/ca-2.pem",
)
LOST = Site("33333333-0000-4000-8000-000000000003", "lost.postern.localhost", AppSpec("lost", "http://lost.internal"))

CASES = {
    "no_apps": (front(), []),
    "apps": (front(user="root root"), [WIKI, VAULT, LOST]),
    "tls": (
        front(
            scheme="https", netloc_port="", host="access.example.com", listen=("0.0.0.0:443", "[::]:443"),
            certificate="/etc/postern/tls.crt", certificate_key="/etc/postern/tls.key",
            trusted_proxies=("10.1.0.0/16",), authz_sockets=("/run/postern/authz.sock", "/run/postern/authz-1.sock"),
        ),
        [WIKI],
    ),
    "tls_before_http2_directive": (
        front(certificate="/etc/postern/tls.crt", certificate_key="/etc/postern/tls.key", http2_directive=False),
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_configuration_is_as_reviewed(name: str) -> None:
    assert render(*CASES[name]) == (GOLDEN / f"{name}.conf").read_text()


def locations(text: str) -> dict[str, str]:
    """Every location with its directives, by server and name."""
    found, server = {}, ""
    for line in re.finditer(r"^ {8}(server_name [^;]*);|^ {8}(location [^{]*) \{\n(.*?)^ {8}\}", text, re.M | re.S):
        server = line[1] or server
        if line[2]:
            found[f"{server} {line[2]}"] = line[3]
    return found


def test_every_location_that_leads_to_an_app_asks_first() -> None:
    """P13: walked through the text; only locations of our own do without the question."""
    asked = 0
    for name, body in locations(render(*CASES["apps"])).items():
        target = re.search(r"proxy_pass ([^;]*);", body)
        if target is None or target[1].startswith(("http://postern_web", "http://postern_authz")):
            continue
        assert "auth_request /_postern/authz;" in body, name
        asked += 1
    assert asked == 3


def test_identity_is_what_the_decision_said_and_nothing_else() -> None:
    """P02, P05: every header of the list is set or cleared, once, in every location that leads to an app."""
    for name, body in locations(render(*CASES["apps"])).items():
        if "proxy_pass $postern_target" not in body:
            continue
        names = [found.lower() for found in re.findall(r'proxy_set_header "?([^ "]+)"?', body)]
        assert len(names) == len(set(names)), name
        for header in (*NEVER_FROM_CLIENTS, *(header for header, _ in IDENTITY), "Cookie", "Authorization"):
            assert header.lower() in names, (name, header)


def test_internal_locations_are_internal() -> None:
    for name, body in locations(render(*CASES["apps"])).items():
        if "= /_postern/" in name or "@" in name:
            assert "internal;" in body, name


@pytest.mark.parametrize("text", ["a\nb", "\x00", "x\ry"])
def test_what_could_end_a_directive_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="control"):
        quoted(text)
    with pytest.raises(ValueError, match="cannot be written"):
        quoted_path(text + '"')


def binaries() -> list[str]:
    return sorted({path for path in (nginx_binary.find().path, nginx_binary.bundled()) if path})


@pytest.mark.real
@pytest.mark.parametrize("binary", binaries())
@pytest.mark.parametrize("case", ["apps", "no_apps", "tls"])
def test_nginx_takes_it(tmp_path: Path, binary: str, case: str) -> None:
    """The system's nginx and the one that came with us."""
    nginx = nginx_binary.examine(binary)
    assert nginx
    (tmp_path / "tmp").mkdir()
    (tmp_path / "mime.types").write_text(MIME_TYPES)
    crt, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(crt),
        "-subj",
        "/CN=x",
    ]
    subprocess.run(argv, check=True, capture_output=True)
    changes: dict[str, object] = {
        "run_dir": str(tmp_path),
        "access_log": str(tmp_path / "access.log"),
        "listen": ("127.0.0.1:0",),
    }
    changes |= {"http2_directive": nginx.http2_directive, "ca_bundle": str(crt)}
    if case == "tls":
        changes |= {"certificate": str(crt), "certificate_key": str(key), "trusted_proxies": ("10.0.0.0/8",)}
    _, sites = CASES[case]
    named = [Site(s.id, s.host, s.spec, s.addresses, str(crt) if s.ca_file else "") for s in sites]
    conf = tmp_path / "nginx.conf"
    conf.write_text(render(front(**changes), named).replace("listen 127.0.0.1:0", "listen 127.0.0.1:18099"))
    done = subprocess.run(
        [binary, "-t", "-q", "-p", str(tmp_path), "-c", str(conf), "-e", "stderr"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
