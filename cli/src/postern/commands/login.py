"""login, logout, status: who is signed in here."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from postern import keys, names, oauth, output, renew, run, ssh_setup
from postern.browser import open_page
from postern.client import Broker
from postern.errors import CliError, LoginNeeded
from postern.state import Home, Session
from postern.token_key import TokenKey


def register(app: typer.Typer) -> None:
    app.command()(login)
    app.command()(logout)
    app.command()(status)


def login(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="The broker's address.", show_default="the last one")] = "",
    browser: Annotated[bool, typer.Option(help="Open a browser; without: print an address, paste a code.")] = True,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the loopback redirect.", show_default="any")] = 0,
    key: Annotated[
        Path | None,
        typer.Option(help="Use this key of yours (FILE.pub; may be in a security key).", show_default=False),
    ] = None,
) -> None:
    """Sign in through the browser.

    \b
    postern login https://access.example.com
    postern login --no-browser                       on a machine without a browser
    postern login --key ~/.ssh/id_ed25519_sk.pub     certificates for a key in a security key
    """
    ran = run.of(context)
    if url:
        ran.url = url
    address = ran.login_url()
    own_key = keys.own(key) if key else ""
    before = _broker_or_none(ran.home)
    signed_in = _by_browser(address, port) if browser else _by_pasting(address)
    broker = _begin(ran.home, address, signed_in, own_key)
    if before is not None:
        _end(before)
    _print_status(ran, broker)


@dataclass(frozen=True, slots=True)
class _SignedIn:
    """What a sign-in brought: a token, the key it is bound to, and until when it is good (Unix seconds)."""

    token: str = field(repr=False)
    key: TokenKey = field(repr=False)
    expires_at: float


def _by_browser(address: str, port: int) -> _SignedIn:
    callback = oauth.Callback(port)
    flow = oauth.Flow(address, callback.redirect_uri)
    Broker(address).ping()
    output.note(f"Sign in in the browser. If none opens, go to:\n\n  {flow.address()}\n")
    if not open_page(flow.address()):
        output.note("It must be a browser on this machine; for one on another: postern login --no-browser")
    return _traded(flow, callback.wait(flow))


def _by_pasting(address: str) -> _SignedIn:
    flow = oauth.Flow(address, f"{address}/oauth/code")
    Broker(address).ping()
    output.note(f"Sign in in a browser on any machine, at:\n\n  {flow.address()}\n\nThen paste the code it shows.")
    print("code: ", end="", file=sys.stderr, flush=True)
    return _traded(flow, oauth.pasted_code(flow, sys.stdin.readline()))


def _traded(flow: oauth.Flow, code: str) -> _SignedIn:
    token, expires_at = flow.token(code)
    return _SignedIn(token, flow.key, expires_at)


def _begin(home: Home, address: str, signed_in: _SignedIn, own_key: str) -> Broker:
    """Learn who this is and what ssh needs, then write it all down. Nothing of the old sign-in is left."""
    broker = Broker(address, signed_in.token, signed_in.key)
    user = user_name(broker.get("status"))
    ssh = broker.get("ssh")
    suffix = str(ssh.get("suffix") or names.DEFAULT_SUFFIX)
    if not names.is_server(suffix):
        raise CliError("the broker's answer holds no usable suffix", "are the CLI and the broker of one version?")
    home.prepare()
    home.forget()
    key = own_key or keys.make(home, f"postern:{user}")
    signed_in.key.save(home)
    home.save(Session(address, signed_in.token, user, signed_in.expires_at, key, suffix))
    renew.refresh_known_hosts(home, ssh.get("host_ca") or [], suffix)
    ssh_setup.write_config(home, key, suffix)
    return broker


def logout(context: typer.Context) -> None:
    """Sign out: end the login session at the broker and remove keys and certificates here.

    \b
    postern logout
    """
    home = run.of(context).home
    session = _session_or_none(home)
    if session is None:
        home.forget()
        output.note("nobody is signed in here")
        return
    try:
        problem = _end(renew.broker_of(home, session))
    except CliError as no_key:
        problem = no_key
    home.forget()
    if problem is None:
        print(f"signed out of {session.url}")
    else:
        output.note(
            f"signed out on this machine only: {problem.message}; the session ends by itself, or end it in your account"
        )


def _end(broker: Broker) -> CliError | None:
    """End a login session at its broker; the failure if that did not work. One that is over already is fine."""
    broker.timeout = 5
    try:
        broker.delete("session")
    except LoginNeeded:
        return None
    except CliError as problem:
        return problem
    return None


def _session_or_none(home: Home) -> Session | None:
    try:
        return home.session()
    except CliError:
        return None


def _broker_or_none(home: Home) -> Broker | None:
    """The broker of the sign-in here, if there is one that can be used."""
    session = _session_or_none(home)
    if session is None:
        return None
    try:
        return renew.broker_of(home, session)
    except CliError:
        return None


def status(context: typer.Context, form: run.Output = None) -> None:
    """Show who is signed in, until when, and with which roles. Exit code 3 when nobody is.

    \b
    postern status
    postern status -o json | jq -r .user
    """
    ran = run.of(context)
    _print_status(ran, ran.broker())


def _print_status(ran: run.Run, broker: Broker) -> None:
    answer = broker.get("status")
    ran.show({"url": broker.url, **answer}, lambda: status_text(broker.url, answer))


def user_name(status: Mapping[str, Any]) -> str:
    """The user's name in a status answer."""
    user = status.get("user")
    return str(user.get("name", "") if isinstance(user, Mapping) else user)


def status_text(url: str, answer: Mapping[str, Any], now: float | None = None) -> str:
    """A sign-in as tsh shows one."""
    session = answer.get("session") or {}
    now = time.time() if now is None else now
    mfa = ", ".join(session.get("amr") or []) or "none"
    pairs = [
        ("Broker", url),
        ("Logged in as", user_name(answer)),
        ("Roles", ", ".join(answer.get("roles") or []) or "none"),
        ("Groups", ", ".join(answer.get("groups") or [])),
        *((f"Trait {name}", ", ".join(values)) for name, values in sorted((answer.get("traits") or {}).items())),
        ("Signed in with", mfa),
        ("Second factor", output.ago(session.get("mfa_at"), now)),
        ("Bound to", "this machine's key" if session.get("key_thumbprint") else ""),
        ("Valid until", output.valid_until(session.get("expires_at"), now)),
    ]
    return output.fields([(name, value) for name, value in pairs if value])
