"""The extra `ldap`: whether it is there, and what to say where it is not."""

from __future__ import annotations

import importlib.util

from broker.errors import Unavailable

INSTALL = "uv sync --extra ldap; on Debian and Ubuntu first: apt install gcc libldap-dev libsasl2-dev python3-dev"
_MODULES = ("ldap", "django_auth_ldap")


def available() -> bool:
    """Whether directories can be used in this installation."""
    return all(_is_there(name) for name in _MODULES)


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def require() -> None:
    """Raises Unavailable with the line that installs what is missing."""
    if not available():
        raise Unavailable("directories need the LDAP library, which is not installed", f"install it: {INSTALL}")
