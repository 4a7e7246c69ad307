"""The program `postern`: run a command, turn what it raises into words and an exit code."""

from __future__ import annotations

import io
import os
import sys

import typer
from typer.exceptions import TyperException

from postern import output
from postern.commands import app
from postern.errors import CliError, Exit

INTERRUPTED = 130


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no arrow still shows a plan
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    os.umask(0o077)
    try:
        result = app(arguments, prog_name="postern", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else Exit.OK
    except CliError as error:
        output.complain(error)
        return error.code
    except TyperException as error:
        _show_usage(error)
        return Exit.USAGE
    except (typer.Abort, KeyboardInterrupt):
        output.note("stopped")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.FAILURE


def _show_usage(error: TyperException) -> None:
    show = getattr(error, "show", None)  # usage errors know their command and print its usage line
    if show is not None:
        show()
    else:
        output.complain(CliError(error.format_message()))


if __name__ == "__main__":
    main()
