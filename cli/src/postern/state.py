"""What the CLI keeps on this machine: the sign-in, its keys, certificates, known hosts. Directory 0700, files 0600.

`$POSTERN_HOME`, or else `postern` in `$XDG_STATE_HOME` or `~/.local/state`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from postern import names
from postern.errors import CliError


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in at one broker. `expires_at` in Unix seconds; `key` is the path of the private key that ssh uses.

    `token` is a secret that opens nothing without the other key, `Home.token_key`.
    """

    url: str
    token: str
    user: str
    expires_at: float
    key: str
    suffix: str = names.DEFAULT_SUFFIX

    def __repr__(self) -> str:
        return f"Session({self.user} at {self.url})"


class Home:
    """The state directory, made when first written to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def default(cls) -> Home:
        if own := os.environ.get("POSTERN_HOME"):
            return cls(Path(own).expanduser().absolute())
        base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        return cls(Path(base).expanduser().absolute() / "postern")

    def file(self, name: str) -> Path:
        return self.path / name

    @property
    def key(self) -> Path:
        return self.path / "keys" / "id_ed25519"

    @property
    def token_key(self) -> Path:
        """The key that the session's token is bound to."""
        return self.path / "keys" / "token.pem"

    @property
    def ssh_config(self) -> Path:
        return self.path / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        return self.path / "known_hosts"

    def prepare(self) -> None:
        """Make the directories, open to nobody else; refuses one that belongs to somebody else."""
        for directory in (self.path, self.path / "keys", self.path / "certs"):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                status = directory.stat()
            except OSError as error:
                raise CliError(
                    f"cannot use {directory}: {(error.strerror or str(error)).lower()}", "see POSTERN_HOME"
                ) from None
            if status.st_uid != os.getuid():
                raise CliError(f"{directory} belongs to somebody else", "name another directory in POSTERN_HOME")
            if status.st_mode & 0o077:
                directory.chmod(0o700)

    def write(self, name: str, text: str) -> None:
        """Replace one file of ours, all at once, readable by nobody else."""
        self.prepare()
        write_atomically(self.file(name), text)

    def session(self) -> Session | None:
        """The stored sign-in, good or ended; None when there is none."""
        try:
            text = self.file("session.json").read_text()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CliError(f"cannot read {self.file('session.json')}: {(error.strerror or '').lower()}") from None
        try:
            return Session(**json.loads(text))
        except (ValueError, TypeError):
            raise CliError(f"{self.file('session.json')} is damaged", "run: postern login") from None

    def save(self, session: Session) -> None:
        self.write("session.json", json.dumps(asdict(session), indent=1) + "\n")
        self.write("url", session.url + "\n")

    def last_url(self) -> str:
        """The broker signed in to last, kept over a logout; empty when there was none."""
        try:
            return self.file("url").read_text().strip()
        except OSError:
            return ""

    def forget(self) -> None:
        """Remove the sign-in and all it brought; the ssh configuration stays, so that ssh can say what is missing."""
        for file in (self.file("session.json"), self.token_key, self.key, self.key.with_suffix(".pub")):
            file.unlink(missing_ok=True)
        self.forget_certificates()

    def forget_certificates(self, expired_before: float | None = None) -> None:
        """Remove the certificates on disk; with a time, only those that had ended by then."""
        from postern import certificate_cache

        for file in (self.path / "certs").glob("*-cert.pub"):
            found = certificate_cache.read(str(file))
            if expired_before is None or found is None or found.until < expired_before:
                file.unlink(missing_ok=True)


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write beside `path` and rename over it, so that a reader sees the old or the new and never half of either."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def ended(session: Session, now: float | None = None) -> bool:
    """Whether the sign-in is over by its own time; the broker may have ended it before."""
    return session.expires_at <= (time.time() if now is None else now)
