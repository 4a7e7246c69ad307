"""Putting the generated ssh_config in place, and one Include line into ~/.ssh/config."""

from __future__ import annotations

import sys
from pathlib import Path

from postern import ssh_files
from postern.errors import CliError
from postern.state import Home, write_atomically


def config_text(home: Home, key: str, suffix: str) -> str:
    """ssh_config for this machine: this Python, this package, this state directory."""
    proxy = str(Path(__file__).with_name("ssh_proxy.py"))
    return ssh_files.ssh_config(str(home.path), key, suffix, sys.executable, proxy)


def write_config(home: Home, key: str, suffix: str) -> None:
    home.write("ssh_config", config_text(home, key, suffix))


def user_config() -> Path:
    """~/.ssh/config, or what it is a link to."""
    return (Path.home() / ".ssh" / "config").resolve()


def is_installed(home: Home) -> bool:
    return ssh_files.include_line(str(home.ssh_config)) in _read(user_config()).split("\n")


def install(home: Home) -> None:
    """Add the Include line at the top, where no Host block can catch it. Does nothing when it is there."""
    if is_installed(home):
        return
    config = user_config()
    if not config.parent.exists():
        config.parent.mkdir(mode=0o700)
    _write(config, f"{ssh_files.include_line(str(home.ssh_config))}\n{_read(config)}")


def uninstall(home: Home) -> bool:
    """Take the Include line out again; whether it was there. All else stays as it is, byte for byte."""
    if not is_installed(home):
        return False
    line, config = ssh_files.include_line(str(home.ssh_config)), user_config()
    _write(config, "\n".join(other for other in _read(config).split("\n") if other != line))
    return True


def _read(config: Path) -> str:
    """The text; bytes that are no UTF-8 are kept as surrogates."""
    try:
        return config.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise CliError(f"cannot read {config}: {(error.strerror or '').lower()}") from None


def _write(config: Path, text: str) -> None:
    mode = config.stat().st_mode & 0o777 if config.exists() else 0o600
    try:
        write_atomically(config, text, mode)
    except OSError as error:
        raise CliError(f"cannot write {config}: {(error.strerror or '').lower()}") from None
