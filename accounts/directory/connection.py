"""One connection to a directory: encrypted and verified before any credential goes over it, no referral followed."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import ssl
from typing import Any
from urllib.parse import urlsplit

import ldap

from accounts.directory.deadline import in_time
from accounts.directory.entry import Down
from broker.documents.connector_spec import LdapSpec

Connection = Any
"""An `ldap.ldapobject.LDAPObject`, bound."""

REFUSALS = (
    ldap.INVALID_CREDENTIALS,
    ldap.INVALID_DN_SYNTAX,
    ldap.INAPPROPRIATE_AUTH,
    ldap.INSUFFICIENT_ACCESS,
    ldap.NO_SUCH_OBJECT,
    ldap.UNWILLING_TO_PERFORM,
    ldap.CONSTRAINT_VIOLATION,
    ldap.REFERRAL,  # the answer is elsewhere; we do not go there with a password
)
"""A server that answers the bind itself, and answers no."""

GRACE = 1.0
"""Seconds beyond the time-out after which a connection is given up: the library, where it has a time-out, says why."""

BROKEN = (ldap.SERVER_DOWN, ldap.CONNECT_ERROR)
"""What a connection that was closed meanwhile says."""


def bound(spec: LdapSpec, dn: str, password: str, kind: Any = ldap.initialize) -> Connection:
    """A connection bound as `dn` at the first of the URLs that answers; both empty: anonymous.

    Raises Down, or one of REFUSALS. A DN without a password is refused here: servers take it for anonymous (RFC 4513
    5.1.2) and say yes.
    """
    if dn and not password:
        raise ldap.INVALID_CREDENTIALS({"desc": "an empty password proves nothing"})
    failures = []
    for url in spec.urls:
        connect = functools.partial(_bound_at, spec, url, dn, password, kind)
        try:
            return in_time(url, connect, close, spec.timeout + GRACE)
        except REFUSALS:
            raise
        except (ldap.LDAPError, Down) as error:
            failures.append(f"{url}: {words(error)}")
    raise Down("; ".join(failures) or "there is no address to ask")


def _bound_at(spec: LdapSpec, url: str, dn: str, password: str, kind: Any) -> Connection:
    connection = _prepared(spec, url, kind)
    try:
        if spec.start_tls and not url.startswith("ldaps:"):
            _start_tls(connection)
        connection.simple_bind_s(dn, password)
    except BaseException:
        close(connection)
        raise
    return connection


def _start_tls(connection: Connection) -> None:
    try:
        connection.start_tls_s()
    except ldap.LDAPError as error:  # also those that a bind may answer: it must never come to the bind
        raise Down(f"StartTLS failed: {words(error)}") from None


def _prepared(spec: LdapSpec, url: str, kind: Any) -> Connection:
    """A connection with all its options, not opened yet. Raises Down for an address that would not be encrypted."""
    if not _may_be_used(spec, url):
        raise Down(f"{url} would send passwords in the clear: use ldaps:// or start_tls")
    connection = kind(url)
    connection.protocol_version = ldap.VERSION3
    connection.set_option(ldap.OPT_REFERRALS, 0)
    connection.set_option(ldap.OPT_NETWORK_TIMEOUT, spec.timeout)
    connection.set_option(ldap.OPT_TIMEOUT, spec.timeout)
    # A follower waits for hours: a server that vanished without a word must be noticed.
    for option, seconds in ((ldap.OPT_X_KEEPALIVE_IDLE, 30), (ldap.OPT_X_KEEPALIVE_INTERVAL, 10)):
        connection.set_option(option, seconds)
    connection.set_option(ldap.OPT_X_KEEPALIVE_PROBES, 3)
    if spec.start_tls or url.startswith("ldaps:"):
        connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
        connection.set_option(ldap.OPT_X_TLS_CACERTFILE, _authorities(spec.ca))
        connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)  # last: what is set after it has no effect
    return connection


def _may_be_used(spec: LdapSpec, url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "ldaps" or (parts.scheme == "ldap" and spec.start_tls):
        return True
    return parts.scheme == "ldap" and _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@functools.cache
def _authorities(pem: str) -> str:
    """A file with the authorities to trust. PEM text lies in memory for the life of the process."""
    if not pem:
        paths = ssl.get_default_verify_paths()
        return next((path for path in (paths.cafile, "/etc/ssl/certs/ca-certificates.crt") if path), "")
    handle = os.memfd_create("authorities")
    os.write(handle, pem.encode())
    return f"/proc/{os.getpid()}/fd/{handle}"


def close(connection: Connection) -> None:
    """End a connection, whatever state it is in."""
    with contextlib.suppress(ldap.LDAPError):
        connection.unbind_ext_s()


def words(error: Exception) -> str:
    """What went wrong, as the library says it; the server's own words with it."""
    if isinstance(error, Down):
        return error.message
    told = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    desc, info = str(told.get("desc", type(error).__name__)), str(told.get("info", ""))
    text = f"{desc[:1].lower()}{desc[1:]}" + (f" ({info})" if info and info != desc else "")
    return " ".join(text.replace("\0", "").split())[:300]
