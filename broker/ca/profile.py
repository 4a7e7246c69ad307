"""Profiles: what a certificate of each kind may hold at most, and what its principals look like."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR

MAX_PAST = MINUTE
"""Seconds that a certificate may begin before now, so that a host whose clock is a little slow takes it."""

USER_EXTENSIONS = frozenset(
    {"permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty"}
)

ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")
SERVER = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?")


class CertificateKind(StrEnum):
    """Who a certificate is for, and so which of the two authorities may sign it."""

    USER = "user"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Profile:
    """The bounds of one kind of certificate. `max_ttl` is the whole span it is good for, in seconds.

    `principal_problem` says what is wrong with a principal, or nothing.
    """

    name: str
    kind: CertificateKind
    max_ttl: int
    max_principals: int
    principal_problem: Callable[[str], str] = field(repr=False)
    extensions: frozenset[str] = frozenset()
    critical_options: frozenset[str] = frozenset()


def principal_of(login: str, server: str) -> str:
    """The one principal of an access certificate, as the server's AuthorizedPrincipalsCommand prints it."""
    return f"{login}@{server}"


def access_principal_problem(principal: str) -> str:
    login, _, server = principal.partition("@")
    if not ACCOUNT.fullmatch(login):
        return "the login must be 1 to 32 letters, digits, _ . - and not begin with . or -"
    if not SERVER.fullmatch(server):
        return "after the @ must stand a server's name: 1 to 63 of a-z, digits, . and -"
    return ""


def identity_principal_problem(principal: str) -> str:
    if not ACCOUNT.fullmatch(principal):
        return "a name must be 1 to 32 letters, digits, _ . - and not begin with . or -"
    if principal == "root":
        # A server that trusts the user CA but forgot AuthorizedPrincipalsCommand would let it in as root.
        return "nobody is called root"
    return ""


def host_principal_problem(principal: str) -> str:
    if _is_address(principal) or _is_dns_name(principal):
        return ""
    return "it must be a lower-case host name without wildcard, or an IP address in its usual form"


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return str(address) == text and not (address.is_unspecified or address.is_multicast)


def _is_dns_name(text: str) -> bool:
    labels = text.split(".")
    # A last label that is a number makes it an address in one of the many odd spellings (0x7f.1, 127.1).
    return (
        len(text) <= 253
        and all(LABEL.fullmatch(label) for label in labels)
        and not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1])
    )


ACCESS = Profile(
    name="access",
    kind=CertificateKind.USER,
    max_ttl=5 * MINUTE,
    max_principals=1,
    principal_problem=access_principal_problem,
    extensions=USER_EXTENSIONS,
    critical_options=frozenset({"source-address"}),
)
IDENTITY = Profile(
    name="identity",
    kind=CertificateKind.USER,
    max_ttl=HOUR,
    max_principals=1,
    principal_problem=identity_principal_problem,
    extensions=USER_EXTENSIONS,
    critical_options=frozenset({"source-address"}),
)
HOST = Profile(
    name="host",
    kind=CertificateKind.HOST,
    max_ttl=90 * DAY,
    max_principals=32,
    principal_problem=host_principal_problem,
)
