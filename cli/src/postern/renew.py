"""Fetch a new access certificate for one login on one server. ssh's ProxyCommand imports this only when it must."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

from postern import certificate_cache, names, ssh_files
from postern.certificate_cache import Cached
from postern.client import Broker
from postern.errors import CliError, LoginNeeded, Unreachable
from postern.state import Home, Session, ended
from postern.stop import Stop
from postern.token_key import TokenKey


def renewed(home: str, suffix: str, login: str, host: str, old: Cached | None) -> Cached:
    """The certificate's new particulars; an old one that is still good is used when the broker cannot be reached."""
    try:
        return fetch(Home(Path(home)), login, names.server_of(host, suffix), host)
    except Unreachable as problem:
        if old is not None and old.until > time.time() + 5:
            return old
        raise Stop(one_line(problem), problem.code) from None
    except CliError as problem:
        raise Stop(one_line(problem), problem.code) from None
    except OSError as problem:
        raise Stop(f"cannot write below {home}: {(problem.strerror or str(problem)).lower()}") from None


def fetch(home: Home, login: str, server: str, host: str) -> Cached:
    """Ask the broker for the certificate and put it where ssh looks."""
    session = signed_in(home)
    answer = broker_of(home, session).post(
        "certificates", "access", body={"server": server, "login": login, "public_key": public_key(session)}
    )
    found = Cached(unix(answer["valid_before"]), str(answer["server"]["address"]), int(answer["server"]["port"]))
    certificate = str(answer["certificate"])
    if not names.is_address(found.address) or not ssh_files.is_certificate(certificate):
        raise CliError(
            "the broker's answer is not a certificate and an address", "are the CLI and the broker of one version?"
        )
    home.prepare()
    home.forget_certificates(expired_before=time.time())
    refresh_known_hosts(home, answer.get("host_ca") or [], session.suffix)
    path = Path(certificate_cache.path_of(str(home.path), login, host))
    home.write(f"certs/{path.name}", certificate_cache.line(certificate, found.until, found.address, found.port))
    return found


def signed_in(home: Home) -> Session:
    """The sign-in, if it is not over by its own time."""
    session = home.session()
    if session is None:
        raise LoginNeeded
    if ended(session):
        raise LoginNeeded("your sign-in has ended")
    return session


def broker_of(home: Home, session: Session) -> Broker:
    """The broker of a sign-in, called with its token and key. Raises `LoginNeeded` when the key cannot be used."""
    return Broker(session.url, session.token, TokenKey.load(home))


def public_key(session: Session) -> str:
    """The public half of the key that certificates are made for."""
    try:
        return Path(session.key + ".pub").read_text().strip()
    except OSError as error:
        raise LoginNeeded(f"cannot read the key {session.key}.pub: {(error.strerror or '').lower()}") from None


def refresh_known_hosts(home: Home, host_ca: list[str], suffix: str) -> None:
    """Write known_hosts anew when the host CA's keys are others than before."""
    if not host_ca:
        return
    text = ssh_files.known_hosts(host_ca, suffix)
    if not home.known_hosts.exists() or home.known_hosts.read_text() != text:
        home.write("known_hosts", text)


def unix(when: Any) -> int:
    """Unix seconds of what the API calls a time: seconds already, or RFC 3339."""
    return int(when) if isinstance(when, int | float) else int(datetime.fromisoformat(str(when)).timestamp())


def one_line(problem: CliError) -> str:
    """A failure for ssh's stderr: what, why, the request id, what to do."""
    why = f" ({'; '.join(problem.lines)})" if problem.lines else ""
    number = f" [request {problem.request_id}]" if problem.request_id else ""
    hint = f"; {problem.hint}" if problem.hint else ""
    line = " ".join(f"{problem.message}{why}{number}{hint}".split())
    return "".join(character if character.isprintable() else "?" for character in line)
