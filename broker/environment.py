"""Every setting of Postern, typed, from `POSTERN_*` variables; a secret also from the file named in `POSTERN_*_FILE`.

All problems are reported at once, in words, by `load()`. Durations are written `90s`, `15m`, `8h`, `7d`.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from broker.errors import Invalid, Problem
from broker.mail_server import MAIL_ADDRESS, mail_server

BASE_DIR = Path(__file__).resolve().parent.parent
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_in(text: str | float) -> float:
    """The seconds in a duration such as `90s`, `15m`, `8h` or `1h30m`. Raises ValueError."""
    if isinstance(text, int | float):
        return float(text)
    if not re.fullmatch(r"(\d{1,9}[smhd])+", text.strip()):
        raise ValueError("a duration looks like 90s, 15m, 8h or 1h30m")
    return float(sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", text)))


Duration = Annotated[float, BeforeValidator(seconds_in)]


def _comma_list(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Environment(BaseSettings):
    """The settings. Each works when absent; what cannot be meant is refused."""

    model_config = SettingsConfigDict(env_prefix="POSTERN_", extra="ignore", env_ignore_empty=True)

    url: str = Field("http://postern.localhost:8080", description="the broker's own address, as browsers type it")
    apps_domain: str = Field("", description="apps live at NAME.apps_domain; the broker's host if empty")
    name: str = Field("Postern", max_length=40, description="what pages and mails call this installation")
    data_dir: Path = Field(BASE_DIR / "var", description="where everything is kept")
    listen: str = Field("", description="addresses nginx listens on; 127.0.0.1:PORT of the URL if empty")
    tls_certificate: Path | None = Field(None, description="certificate chain (PEM) if nginx itself serves TLS")
    tls_key: Path | None = Field(None, description="the private key of that certificate (PEM)")
    trusted_proxies: Annotated[list[str], NoDecode, BeforeValidator(_comma_list)] = Field(
        default_factory=list, description="networks whose X-Forwarded-For is believed"
    )
    database_url: SecretStr = Field(SecretStr(""), description="postgresql://…; SQLite in data_dir if empty")
    redis_url: SecretStr = Field(SecretStr(""), description="redis:// or unix://…; the bundled Valkey if empty")
    session_max: Duration = Field(12 * 3600.0, description="a login session ends after this, whatever happens")
    session_idle: Duration = Field(4 * 3600.0, description="a login session ends when unused for this long")
    cli_session_max: Duration = Field(12 * 3600.0, description="a CLI's login session ends after this")
    session_address_change: Literal["record", "confirm", "end"] = Field(
        "record", description="when a login session is used from another network: `record`, `confirm` or `end`"
    )
    reset_delay: Duration = Field(
        3600.0, description="a reset of somebody's second factor waits this long for a second administrator; 0s: not"
    )
    invite_ttl: Duration = Field(3600.0, description="an invite link works for this long")
    access_certificate_ttl: Duration = Field(300.0, description="life of a certificate for one server and login")
    identity_certificate_ttl: Duration = Field(3600.0, description="life of a certificate for the gateway and the API")
    app_token_ttl: Duration = Field(3600.0, description="life of a bearer token for one app")
    feed_poll: Duration = Field(1.0, gt=0, le=2.0, description="fallback poll of the feed, seconds")
    smtp_url: SecretStr = Field(
        SecretStr(""), description="smtp://user:password@host:587 or smtps://…; without it notices are not mailed"
    )
    mail_from: str = Field("", description="the sender of mails, such as postern@example.com; wanted with smtp_url")
    directory_interval: Duration = Field(
        60.0, ge=1.0, le=3600.0, description="people of a directory who have something open are read anew this often"
    )
    web_workers: int = Field(1, ge=1, le=64, description="how many web processes")
    authz_workers: int = Field(1, ge=1, le=64, description="how many decision services")
    websocket_max_frame: int = Field(16 * 1024 * 1024, ge=1024, description="bytes in one WebSocket frame to an app")
    debug: bool = Field(False, description="show failures in pages; never where others can reach it")

    @field_validator("url")
    @classmethod
    def _url_is_an_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("must be an address such as https://access.example.com, without a path")
        _ = parts.port
        if parts.scheme == "http" and not re.fullmatch(r"(.+\.)?localhost", parts.hostname):
            raise ValueError("plain http works for *.localhost only: browsers keep secure cookies off other names")
        return f"{parts.scheme}://{parts.netloc}".lower()

    @field_validator("smtp_url")
    @classmethod
    def _smtp_server(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            mail_server(value.get_secret_value())
        return value

    @field_validator("mail_from")
    @classmethod
    def _one_mail_address(cls, value: str) -> str:
        if value and not re.fullmatch(MAIL_ADDRESS, value):
            raise ValueError("must be one address, such as postern@example.com")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        return [str(ipaddress.ip_network(item)) for item in value]

    @property
    def host(self) -> str:
        """The broker's host name, without the port."""
        return urlsplit(self.url).hostname or ""

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over TLS."""
        return self.url.startswith("https:")

    @property
    def port(self) -> int:
        """The port in the broker's address."""
        return urlsplit(self.url).port or (443 if self.secure else 80)

    @property
    def netloc_port(self) -> str:
        """`:8080` as it must stand in addresses, or nothing for the scheme's own port."""
        port = urlsplit(self.url).port
        return f":{port}" if port else ""

    @property
    def app_suffix(self) -> str:
        """The domain below which apps live."""
        return self.apps_domain or self.host

    def app_url(self, host: str) -> str:
        """The address of the app at `host`."""
        return f"{'https' if self.secure else 'http'}://{host}{self.netloc_port}"

    @property
    def keys_dir(self) -> Path:
        """Where the key ring is (0700)."""
        return self.data_dir / "keys"

    @property
    def run_dir(self) -> Path:
        """Sockets, pid files and nginx's working files; short enough for a UNIX socket's path."""
        path = self.data_dir / "run"
        if len(str(path)) <= 80:
            return path
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108 - made 0700 and checked by the set-up
        return base / f"postern-{os.getuid()}-{abs(hash_of(str(path))):x}"

    def socket(self, name: str) -> Path:
        """The UNIX socket of the process `name`."""
        return self.run_dir / f"{name}.sock"

    @property
    def redis(self) -> str:
        """The URL of the Redis or Valkey in use."""
        return self.redis_url.get_secret_value() or f"unix://{self.socket('valkey')}"


def hash_of(text: str) -> int:
    """A number for `text` that is the same in every process (unlike `hash`)."""
    import zlib

    return zlib.crc32(text.encode())


def _secrets_from_files(environ: dict[str, str]) -> tuple[dict[str, str], list[Problem]]:
    found: dict[str, str] = {}
    problems = []
    for key, path in environ.items():
        if key.startswith("POSTERN_") and key.endswith("_FILE"):
            name = key.removesuffix("_FILE")
            if name.removeprefix("POSTERN_").lower() not in Environment.model_fields:
                continue
            try:
                found[name.removeprefix("POSTERN_").lower()] = Path(path).read_text().strip()
            except OSError as error:
                problems.append(Problem(f"{key}: cannot read {path}: {error.strerror}"))
    return found, problems


def load(environ: dict[str, str] | None = None) -> Environment:
    """The settings of this process. Raises `Invalid` naming every bad one, and every `POSTERN_` name not known."""
    environ = dict(os.environ) if environ is None else environ
    from_files, problems = _secrets_from_files(environ)
    known = {f"POSTERN_{name.upper()}" for name in Environment.model_fields}
    internal = {"POSTERN_DEMO", "POSTERN_TEST_DATABASE"}
    for key in environ:
        base = key.removesuffix("_FILE")
        if key.startswith("POSTERN_") and base not in known and key not in internal:
            import difflib

            near = difflib.get_close_matches(key, known, 1)
            problems.append(Problem(f"{key}: no such setting", hint=f"did you mean {near[0]}?" if near else ""))
    try:
        env = Environment(**from_files)  # type: ignore[arg-type]
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            name = "POSTERN_" + "_".join(str(part) for part in item["loc"][:1]).upper()
            problems.append(Problem(f"{name}: {item['msg'].removeprefix('Value error, ')}"))
        raise Invalid("bad settings", problems=problems) from None
    if env.smtp_url.get_secret_value() and not env.mail_from:
        problems.append(Problem("POSTERN_MAIL_FROM is wanted with POSTERN_SMTP_URL", hint="the sender of mails"))
    if bool(env.tls_certificate) != bool(env.tls_key):
        problems.append(Problem("POSTERN_TLS_CERTIFICATE and POSTERN_TLS_KEY go together"))
    if problems:
        raise Invalid("bad settings", problems=problems)
    env.data_dir = Path(os.path.abspath(env.data_dir))  # noqa: PTH100 - keep symlinks as given
    return env
