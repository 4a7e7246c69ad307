"""What ends a command: words for a person, and the exit code scripts rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """The exit codes, which never change meaning."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    LOGIN_NEEDED = 3
    DENIED = 4


class CliError(Exception):
    """A failure: what happened, then a hint what to do (may be empty). `lines` are details, one a line."""

    code = Exit.FAILURE

    def __init__(self, message: str, hint: str = "", lines: Sequence[str] = (), request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.lines = tuple(lines)
        self.request_id = request_id


class UsageProblem(CliError):
    """The command was called in a way that cannot work."""

    code = Exit.USAGE


class Unreachable(CliError):
    """The broker does not answer."""


class LoginNeeded(CliError):
    """Nobody is signed in here, or no longer."""

    code = Exit.LOGIN_NEEDED

    def __init__(self, message: str = "not signed in", hint: str = "run: postern login", request_id: str = "") -> None:
        super().__init__(message, hint, request_id=request_id)


class Denied(CliError):
    """Policy said no. `confirm` says how the person can lift it by their second factor, if they can."""

    code = Exit.DENIED

    def __init__(
        self,
        message: str,
        hint: str = "",
        lines: Sequence[str] = (),
        request_id: str = "",
        confirm: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint, lines, request_id)
        self.confirm = confirm


class Missing(CliError):
    """There is no such thing, or it is not yours."""


class Refused(CliError):
    """The broker found the input wrong; `lines` name each place."""
