"""What may be written after `bin/run`. Standard library only, so that `--help` works before anything is installed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

DEFAULT_URL = "http://postern.localhost:8080"
EPILOG = """Everything else is a setting: an environment variable POSTERN_… (docs/running.md lists them), such as
POSTERN_DATA_DIR, where everything is kept, and POSTERN_URL, the broker's own address."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of `bin/run`."""

    port: int | None = None
    demo: bool = False
    demo_idp: bool = False
    demo_ldap: bool = False


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as everywhere; 1, because nothing was started."""
        print(f"error: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(1)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; use a number from 1 to 65535")
    return int(text)


def parse(argv: Sequence[str]) -> Options:
    """The options in `argv`. Ends the program on `--help` (0) and on what it does not know (1)."""
    parser = _Parser(
        prog="bin/run", description="Starts Postern, all of it; Ctrl-C stops it.", epilog=EPILOG, allow_abbrev=False
    )
    parser.add_argument("--port", type=_port, metavar="N", help="the port to answer on (8080)")
    parser.add_argument("--demo", action="store_true", help="add a sample app, a sample server and users to try")
    parser.add_argument("--demo-idp", action="store_true", help="the same, and a sample OpenID Provider")
    parser.add_argument("--demo-ldap", action="store_true", help="the same, and a sample directory (needs slapd)")
    found = parser.parse_args(argv)
    demo = found.demo or found.demo_idp or found.demo_ldap
    return Options(port=found.port, demo=demo, demo_idp=found.demo_idp, demo_ldap=found.demo_ldap)


def with_port(environ: Mapping[str, str], port: int | None) -> MutableMapping[str, str]:
    """The environment with `--port` taken in: the address's own port at home, only the listener behind a proxy."""
    result = dict(environ)
    if port is None:
        return result
    url = result.get("POSTERN_URL") or DEFAULT_URL
    parts = urlsplit(url)
    if (parts.hostname or "").endswith("localhost"):
        result["POSTERN_URL"] = f"{parts.scheme}://{parts.hostname}:{port}"
    else:
        result["POSTERN_LISTEN"] = f"127.0.0.1:{port}"
    return result


def apply_to_process(options: Options) -> None:
    """Put the options where this process and its children read their settings."""
    os.environ.update(with_port(os.environ, options.port))
    if options.demo:
        wanted = {"idp": options.demo_idp, "ldap": options.demo_ldap}
        os.environ["POSTERN_DEMO"] = ",".join(["app", *(name for name, is_wanted in wanted.items() if is_wanted)])
