"""Lint: everything that must never be signed, one line each, and the good ones last."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import ca
from broker.ca import ACCESS, HOST, IDENTITY, CertificateKind, CheckedTemplate, PublicKey
from broker.ca.wire import string
from broker.errors import Invalid
from tests.broker.ca.cast import NOW, access, key

PTY = ("permit-pty", "")
FORWARD = ("permit-port-forwarding", "")

BAD_ACCESS: list[tuple[str, dict[str, Any], str]] = [
    ("C01 no principal", {"principals": ()}, "there must be a principal"),
    ("C04 a string for a list", {"principals": "root@db-1"}, "must be a tuple of strings"),
    ("C04 a list", {"principals": ["root@db-1"]}, "must be a tuple of strings"),
    ("C04 a comma", {"principals": ("alice,root@db-1",)}, "the login must be"),
    ("C04 a comma in the server", {"principals": ("root@db-1,root@db-2",)}, "a server's name"),
    ("two principals", {"principals": ("root@db-1", "root@db-2")}, "1 principals at most"),
    ("the same twice", {"principals": ("root@db-1",) * 2}, "stands there twice"),
    ("bytes", {"principals": (b"root@db-1",)}, "must be a tuple of strings"),
    ("no server", {"principals": ("root",)}, "a server's name"),
    ("no login", {"principals": ("@db-1",)}, "the login must be"),
    *[
        (f"C02 login {login!r}", {"principals": (f"{login}@db-1",)}, "principal ")
        for login in ("", " ", "a b", "a\n", "a\0", "*", "a/b", "a:b", "a@b", "ä", "-oProxy", ".a", "a" * 33, "%u")
    ],
    *[
        (f"C02 server {server!r}", {"principals": (f"root@{server}",)}, "a server's name")
        for server in ("", "*", "db 1", "db-1\n", "db-1@db-2", "DB-1", "dß", "-db", "db-", "a" * 64, "db_1", "%h")
    ],
    ("serial 0", {"serial": 0}, "serial"),
    ("serial -1", {"serial": -1}, "serial"),
    ("serial 2^63", {"serial": 2**63}, "serial"),
    ("serial True", {"serial": True}, "serial"),
    ("serial text", {"serial": "7"}, "serial"),
    ("no key id", {"key_id": ""}, "key id"),
    ("X09 key id", {"key_id": "postern:access:<script>:root@db-1:7"}, "key id"),
    ("X09 formula", {"key_id": "=HYPERLINK()"}, "key id"),
    ("key id with a line end", {"key_id": "postern:access:alice:7\n"}, "key id"),
    ("long key id", {"key_id": "postern:access:" + "a" * 255}, "key id"),
    ("a host certificate", {"kind": CertificateKind.HOST}, "of kind user"),
    ("kind as text", {"kind": "user"}, "of kind user"),
    ("C06 already over", {"valid_before": NOW}, "ended already"),
    ("C06 over the maximum", {"valid_before": NOW + 271}, "300 s at most"),
    ("C06 for ever", {"valid_before": 2**64 - 1}, "300 s at most"),
    ("C06 2^63", {"valid_before": 2**63}, "300 s at most"),
    ("C06 not a number", {"valid_before": float("nan")}, "whole Unix seconds"),
    ("C06 a fraction", {"valid_before": NOW + 1.5}, "whole Unix seconds"),
    ("C06 text", {"valid_before": "8h; rm"}, "whole Unix seconds"),
    ("no beginning", {"valid_after": 0}, "60 s in the past"),
    ("C07 61 s in the past", {"valid_after": NOW - 61}, "60 s in the past"),
    ("C07 in the future", {"valid_after": NOW + 1}, "begin in the future"),
    ("C05 an unknown extension", {"extensions": (("permit-everything", ""),)}, "is not allowed here"),
    ("C05 user-rc", {"extensions": (("permit-user-rc", ""),)}, "is not allowed here"),
    ("C05 no touch", {"extensions": (("no-touch-required", ""),)}, "is not allowed here"),
    ("C08 twice", {"extensions": (PTY, PTY)}, "once, in lexical order"),
    ("C08 wrong order", {"extensions": (PTY, FORWARD)}, "once, in lexical order"),
    ("an extension with a value", {"extensions": (("permit-pty", "x"),)}, "has no value"),
    ("extensions as a dict", {"extensions": {"permit-pty": ""}}, "pair of strings"),
    ("extensions as text", {"extensions": ("permit-pty",)}, "pair of strings"),
    ("C05 force-command", {"critical_options": (("force-command", "id"),)}, "is not allowed here"),
    ("an unknown critical option", {"critical_options": (("x@y", ""),)}, "is not allowed here"),
    *[
        (f"source {value!r}", {"critical_options": (("source-address", value),)}, "source-address must be")
        for value in ("", "*", "10.0.0.1/8", "10.0.0.1, 10.0.0.2", "10.0.0.1,", "fe80::1%eth0", "1.2.3.4\n")
    ],
    ("a key of another type", {"public_key": PublicKey("ssh-rsa", key().blob)}, "type is not the one inside"),
    ("a blob for a key", {"public_key": key().blob}, "type is not the one inside"),
    ("a broken key", {"public_key": PublicKey("ssh-ed25519", string("ssh-ed25519"))}, "not usable"),
]  # fmt: skip


@pytest.mark.parametrize("changes, words", [case[1:] for case in BAD_ACCESS], ids=[case[0] for case in BAD_ACCESS])
def test_a_bad_template_is_named_and_not_signed(changes: dict[str, Any], words: str) -> None:
    """C01, C02, C04, C05, C06, C07, C08."""
    template = replace(access(), **changes)
    assert any(words in problem for problem in ca.problems_in(template, ACCESS, NOW))
    with pytest.raises(Invalid, match="the access certificate cannot be signed") as refusal:
        ca.lint(template, ACCESS, NOW)
    assert refusal.value.problems


HOST_NAMES = (
    "*", "*.example.com", "db-?", "", ".", "db-1.", "a..b", "-a", "a-", "DB-1", "dß", "a b", "a,b", "!a", "x" * 64,
    "127.1", "0x7f.1", "1.2.3.4.5", "1.2.3.999", "01.2.3.4", "0.0.0.0", "::", "224.0.0.1", "0:0:0:0:0:0:0:1", "[::1]",
    "10.0.0.0/8", "db-1:22", "db-1\n", "a@b", ".".join(["a" * 60] * 5),
)  # fmt: skip


@pytest.mark.parametrize("name", HOST_NAMES)
def test_a_host_certificate_names_no_wildcard_and_no_odd_address(name: str) -> None:
    """C20."""
    template = ca.host_template(serial=1, server="db-1", names=["db-1", name], key=key(), now=NOW)
    assert [problem for problem in ca.problems_in(template, HOST, NOW) if problem.startswith("principal ")]


def test_a_host_certificate_has_no_options_no_fido_key_and_an_end() -> None:
    good = ca.host_template(serial=1, server="db-1", names=["db-1"], key=key(), now=NOW)
    for changes in (
        {"extensions": (PTY,)},
        {"critical_options": (("source-address", "10.0.0.1"),)},
        {"public_key": key("sk-ssh-ed25519@openssh.com")},
        {"valid_before": NOW + 91 * 24 * 3600},
        {"principals": tuple(f"db-{number}" for number in range(33))},
        {"principals": ()},
        {"kind": CertificateKind.USER},
    ):
        assert ca.problems_in(replace(good, **changes), HOST, NOW)


def test_an_access_template_passes_no_other_profile() -> None:
    """C13."""
    assert ca.problems_in(access(), HOST, NOW)
    assert ca.problems_in(access(), IDENTITY, NOW)


@pytest.mark.parametrize("name", ["root", "alice@db-1", "alice,root", "*", "", "a" * 33, "ålice", "-alice"])
def test_an_identity_is_one_plain_name_and_never_root(name: str) -> None:
    """C02, C04: a server that trusts our CA and checks no principals must not take it for its root."""
    template = ca.identity_template(serial=1, subject_name=name, key=key(), now=NOW, ttl=60)
    assert ca.problems_in(template, IDENTITY, NOW)


def test_all_problems_are_told_at_once() -> None:
    template = replace(access(), serial=0, principals=(), key_id="")
    assert len(ca.problems_in(template, ACCESS, NOW)) == 3


def test_only_lint_makes_what_may_be_signed() -> None:
    checked = ca.lint(access(), ACCESS, NOW)
    with pytest.raises(TypeError, match="only lint"):
        CheckedTemplate(access(), object())
    with pytest.raises(AttributeError):
        checked.template = replace(access(), principals=())
    for forge in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises((TypeError, AttributeError)):
            forge(checked)


@given(st.binary(max_size=40).map(lambda data: data.decode("latin-1")), st.text(max_size=40))
def test_only_a_plain_login_at_a_plain_server_passes(login: str, server: str) -> None:
    template = access(login=login, server=server)
    if not ca.problems_in(template, ACCESS, NOW):
        assert f"{login}@{server}".isascii()
        assert not set(login + server) & set(" ,*/@:\n\0!?%\\'\"$;&|<>")


def test_the_good_ones_pass() -> None:
    assert ca.problems_in(access(pty=True, forward_ports=True, source_address="10.0.0.1,fd00::/8"), ACCESS, NOW) == ()
    assert ca.problems_in(access(ttl=10**9), ACCESS, NOW + 30) == ()
    assert ca.problems_in(access(subject_name="alice+ops@example.com"), ACCESS, NOW) == ()
    assert ca.problems_in(access(source_address="127.0.0.0/8,::1/128"), ACCESS, NOW) == ()
    identity = ca.identity_template(serial=2, subject_name="build_bot", key=key(), now=NOW, ttl=3600)
    assert ca.problems_in(identity, IDENTITY, NOW) == ()
    names = ["db-1", "db-1.postern", "db_1.corp", "127.0.0.1", "fd00::1", "xn--bcher-kva.example", "10.0.0.5"]
    host = ca.host_template(serial=3, server="db-1", names=names, key=key("ssh-rsa"), now=NOW)
    assert ca.problems_in(host, HOST, NOW) == ()
