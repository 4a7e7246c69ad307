"""The command line of `bin/run`."""

from __future__ import annotations

import pytest

from broker.supervise.options import Options, parse, with_port


def test_an_unknown_option_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--prot", "80"])
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines() == ["error: unrecognized arguments: --prot 80 (see bin/run --help)"]


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "8080x", "٨٠٨٠x", ""])
def test_what_is_not_a_port_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([f"--port={text}"])
    assert ended.value.code == 1
    assert "is not a port" in capsys.readouterr().err


def test_an_option_may_not_be_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--dem"])
    assert capsys.readouterr().err.startswith("error: ")


def test_port_and_demo_are_read() -> None:
    assert parse(["--port", "18080", "--demo"]) == Options(port=18080, demo=True)


@pytest.mark.parametrize(
    ("environ", "port", "wanted"),
    [
        ({}, None, {}),
        ({}, 9000, {"POSTERN_URL": "http://postern.localhost:9000"}),
        ({"POSTERN_URL": "http://a.localhost:1"}, 9000, {"POSTERN_URL": "http://a.localhost:9000"}),
        (
            {"POSTERN_URL": "https://access.example.com"},
            9000,
            {"POSTERN_URL": "https://access.example.com", "POSTERN_LISTEN": "127.0.0.1:9000"},
        ),
    ],
)
def test_the_port_changes_the_address_at_home_and_the_listener_elsewhere(
    environ: dict[str, str], port: int | None, wanted: dict[str, str]
) -> None:
    assert with_port(environ, port) == wanted
