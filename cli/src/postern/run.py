"""What every command has at hand: the chosen broker, the output format, the state directory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from postern import output
from postern.client import Broker, checked_url
from postern.errors import CliError, LoginNeeded, UsageProblem
from postern.output import Format
from postern.renew import broker_of, signed_in
from postern.state import Home, Session

DEFAULT_URL = "http://postern.localhost:8080"


@dataclass
class Run:
    """One run of the program. `url` is what --url or POSTERN_URL said, empty when neither did."""

    url: str = ""
    form: Format = Format.TEXT
    home: Home = field(default_factory=Home.default)

    def login_url(self) -> str:
        """The broker to sign in to: the one named, else the last one, else this machine's."""
        return checked_url(self.url or self.home.last_url() or DEFAULT_URL)

    def session(self) -> Session:
        """The sign-in, at the broker named if one is: a token goes to no other broker than its own."""
        session = signed_in(self.home)
        if self.url and checked_url(self.url) != session.url:
            asked = checked_url(self.url)
            raise LoginNeeded(f"not signed in to {asked}, but to {session.url}", f"run: postern login {asked}")
        return session

    def broker(self) -> Broker:
        return broker_of(self.home, self.session())

    def show(self, value: Any, text: Callable[[], str]) -> None:
        output.show(value, self.form, text)


def of(context: typer.Context) -> Run:
    """The run a command belongs to."""
    run = context.obj
    assert isinstance(run, Run)  # noqa: S101 - for the type checker
    return run


def _remember(context: typer.Context, form: Format | None) -> Format | None:
    if form is not None:
        of(context).form = form
    return form


Output = Annotated[
    Format | None,
    typer.Option("--output", "-o", help="How to print the answer.", callback=_remember, show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def confirm(question: str, yes: bool) -> None:
    """Ask before something that cannot be undone; without a terminal, only --yes will do."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageProblem(f"this needs a yes: {question}", "add --yes when there is no terminal to ask on")
    if not typer.confirm(output.safe(question), err=True):
        raise CliError("nothing was changed")
