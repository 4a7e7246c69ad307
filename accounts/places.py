"""Whether a login session is used from where, and in what, it was before. Pure: addresses and names in, answers out."""

from __future__ import annotations

import ipaddress

from accounts.devices import device_name


def network(address: str) -> str:
    """What one household or office has: an IPv4 address, or an IPv6 /64, in which addresses change by themselves."""
    return _network(address, 32, 64)


def neighbourhood(address: str) -> str:
    """The wider network by which an account's usual places are known again: an IPv4 /24 or an IPv6 /48."""
    return _network(address, 24, 48)


def has_moved(before: str, after: str) -> bool:
    """Whether a session that was last used at one address is now used from another network."""
    return bool(before and after) and network(before) != network(after)


def is_other_browser(before: str, after: str) -> bool:
    """Whether the `User-Agent` names another browser or system than at sign-in; newer versions of one are the same."""
    return device_name(before[:300]) != device_name(after[:300])


def _network(address: str, v4: int, v6: int) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    bits = v4 if parsed.version == 4 else v6
    if bits == parsed.max_prefixlen:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, bits), strict=False))
