"""Where an app's upstream is: its scheme, host and port, and which resolved addresses may be connected to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

# Link-local and cloud metadata, multicast, "this host" and broadcast: no app lives there. Loopback and private networks
# are where private apps do live, and the address was an administrator's to choose.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/128", "fe80::/10", "ff00::/8", "fd00:ec2::254/128"),
    )
)


@dataclass(frozen=True, slots=True)
class Upstream:
    """One upstream; `netloc` is what stands in its address."""

    scheme: str
    host: str
    port: int
    netloc: str

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS."""
        return self.scheme == "https"


def upstream_of(uri: str) -> Upstream:
    """The upstream that an app's `uri` names."""
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Upstream(parts.scheme, (parts.hostname or "").lower(), port, parts.netloc.lower())


def is_allowed(address: str) -> bool:
    """Whether we connect to that IP address at all (metadata services and the like: never)."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return not any(found.version == network.version and found in network for network in _NEVER)


def allowed(addresses: Iterable[str]) -> tuple[str, ...]:
    """The addresses we connect to, each once, in order."""
    return tuple(address for address in dict.fromkeys(addresses) if is_allowed(address))


def with_port(address: str, port: int) -> str:
    """`ADDRESS:PORT`, brackets around an IPv6 address."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
