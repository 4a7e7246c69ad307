"""Giving the second factor again when the broker denies for want of it: by a code at the terminal, or in the browser.

Talks on stderr and reads from the controlling terminal, so that it works within ssh's ProxyCommand, too, whose stdin
and stdout belong to ssh. Without a terminal, or with POSTERN_NO_INPUT, nobody is asked.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from postern.browser import open_page
from postern.client import Broker
from postern.errors import CliError, Denied, Refused
from postern.output import duration, note, seconds_of

NO_INPUT = "POSTERN_NO_INPUT"
HINT = "confirm that it is you with: postern confirm; then run this again"
TRIES = 3
POLL_SECONDS = 1.0


def lift(broker: Broker, denied: Denied, purpose: str) -> None:
    """Ask the person for what lifts a denial. Raises it, with words how to confirm, where there is nobody to ask."""
    with terminal() as person:
        if person is None:
            raise Denied(denied.message, HINT, denied.lines, denied.request_id)
        note(f"{denied.message}.")
        confirm(broker, denied.confirm or {}, purpose, person)


def confirm(broker: Broker, ways: Mapping[str, Any], purpose: str, person: TextIO | None) -> None:
    """Have the login session confirmed in one of these ways. Raises `Denied` when the person does not."""
    methods = [str(method) for method in ways.get("methods") or []]
    if not methods:
        raise Denied(
            "you have no second factor of the kind that is wanted", "add a passkey in your account, in a browser"
        )
    if person is not None and _by_code(broker, methods, person):
        return
    _in_browser(broker, purpose, str(ways.get("need") or ""), person is not None)


@contextlib.contextmanager
def terminal(unless: bool = False) -> Iterator[TextIO | None]:
    """The person's terminal to read from, which need not be stdin; None where nobody sits or wants to be asked."""
    if unless or os.environ.get(NO_INPUT) or not sys.stderr.isatty():
        yield None
        return
    try:
        file = open("/dev/tty", encoding="utf-8", errors="replace")  # noqa: PTH123, SIM115 - closed below
    except OSError:
        yield None
        return
    with file:
        yield file


def _by_code(broker: Broker, methods: list[str], person: TextIO) -> bool:
    """Ask for a code; False when the person rather takes the browser."""
    if "totp" in methods:
        what = "code of your authenticator app"
    elif methods == ["recovery"]:
        what = "recovery code"
    else:
        return False
    for _ in range(TRIES):
        print(f"{what} (or Enter to use the browser): ", end="", file=sys.stderr, flush=True)
        code = person.readline().strip()
        if not code:
            return False
        try:
            broker.post("confirm", body={"code": code})
        except Refused as wrong:
            note(wrong.message)
        else:
            return True
    raise Denied("no right code was given", "try again, or use the browser: postern confirm --browser")


def _in_browser(broker: Broker, purpose: str, need: str, is_shown: bool) -> None:
    asking = broker.post("confirmations", body={"purpose": purpose, "need": need})
    address, number = str(asking["url"]), str(asking["number"])
    if not address.startswith(broker.url + "/"):
        raise CliError("the broker sends us to confirm elsewhere", "are the CLI and the broker of one version?")
    note(f"Confirm in the browser. If none opens, go to:\n\n  {address}\n\nIt asks for this number: {number}\n")
    with _stdout_kept():
        open_page(address)
    state = _answer(broker, str(asking["id"]), seconds_of(asking["expires_at"]) or 0.0, is_shown)
    if state == "refused":
        raise Denied("it was refused in the browser", "if that was not you, sign out everywhere in your account")
    if state != "confirmed":
        raise Denied("nobody confirmed in time", "run it again")
    note("confirmed")


def _answer(broker: Broker, ident: str, until: float, is_shown: bool) -> str:
    """Wait for the person; how it ended."""
    try:
        while (left := until - time.time()) > -POLL_SECONDS:
            state = str(broker.get("confirmations", ident).get("state"))
            if state != "waiting":
                return state
            if is_shown:
                print(f"\rwaiting, {duration(max(0, left))} left  ", end="", file=sys.stderr, flush=True)
            time.sleep(POLL_SECONDS)
    finally:
        if is_shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    return "expired"


@contextlib.contextmanager
def _stdout_kept() -> Iterator[None]:
    """What a browser says goes to stderr: stdout may be the answer of a command, or ssh's."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
