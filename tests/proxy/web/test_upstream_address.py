"""Where upstreams are, and where none may be."""

from __future__ import annotations

import pytest

from proxy.web.upstream_address import allowed, is_allowed, upstream_of, with_port


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "0.0.0.0",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "255.255.255.255",
        "fd00:ec2::254",
    ],
)
def test_no_app_lives_there(address: str) -> None:
    """P40."""
    assert not is_allowed(address)


def test_private_apps_live_on_private_addresses() -> None:
    assert allowed(["10.0.0.1", "169.254.169.254", "127.0.0.1", "10.0.0.1", "fd00::1"]) == (
        "10.0.0.1",
        "127.0.0.1",
        "fd00::1",
    )


def test_an_address_is_taken_apart() -> None:
    assert (upstream_of("https://Vault.internal").port, upstream_of("https://Vault.internal").host) == (
        443,
        "vault.internal",
    )
    assert upstream_of("http://[fd00::1]:3000").host == "fd00::1"
    assert with_port("fd00::1", 3000) == "[fd00::1]:3000"
