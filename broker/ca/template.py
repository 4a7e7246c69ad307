"""Certificate templates: everything a certificate will say, before anybody checked or signed it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from broker.ca.profile import ACCESS, HOST, IDENTITY, MAX_PAST, CertificateKind, Profile, principal_of
from broker.ca.public_key import PublicKey
from broker.errors import Invalid

BACKDATE = MAX_PAST // 2
"""Seconds that our certificates begin before now; the rest up to MAX_PAST is room for the time until lint."""

Options = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CertificateTemplate:
    """What will be signed. Times are Unix seconds; options are (name, value) in lexical order."""

    serial: int
    kind: CertificateKind
    key_id: str
    public_key: PublicKey
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical_options: Options = ()
    extensions: Options = ()

    def to_json(self) -> dict[str, object]:
        """The template for the log: plain JSON values, the key as its line and fingerprint."""
        return {
            "serial": self.serial,
            "kind": str(self.kind),
            "key_id": self.key_id,
            "public_key": self.public_key.line,
            "fingerprint": self.public_key.fingerprint,
            "principals": list(self.principals),
            "valid_after": self.valid_after,
            "valid_before": self.valid_before,
            "critical_options": dict(self.critical_options),
            "extensions": dict(self.extensions),
        }


def access_template(
    *,
    serial: int,
    subject_name: str,
    login: str,
    server: str,
    key: PublicKey,
    now: int,
    ttl: int,
    until: float | None = None,
    pty: bool = False,
    forward_ports: bool = False,
    forward_agent: bool = False,
    forward_x11: bool = False,
    source_address: str = "",
) -> CertificateTemplate:
    """For one login on one server. `source_address`: the addresses or networks it works from."""
    valid_after, valid_before = _window(ACCESS, now, ttl, until)
    principal = principal_of(login, server)
    return CertificateTemplate(
        serial=serial,
        kind=ACCESS.kind,
        key_id=f"postern:access:{subject_name}:{principal}:{serial}",
        public_key=key,
        principals=(principal,),
        valid_after=valid_after,
        valid_before=valid_before,
        critical_options=(("source-address", source_address),) if source_address else (),
        extensions=_extensions(pty, forward_ports, forward_agent, forward_x11),
    )


def identity_template(
    *,
    serial: int,
    subject_name: str,
    key: PublicKey,
    now: int,
    ttl: int,
    until: float | None = None,
    source_address: str = "",
) -> CertificateTemplate:
    """Says who somebody is to the gateway and the API, which decide live what they may do; so it permits all."""
    valid_after, valid_before = _window(IDENTITY, now, ttl, until)
    return CertificateTemplate(
        serial=serial,
        kind=IDENTITY.kind,
        key_id=f"postern:identity:{subject_name}:{serial}",
        public_key=key,
        principals=(subject_name,),
        valid_after=valid_after,
        valid_before=valid_before,
        critical_options=(("source-address", source_address),) if source_address else (),
        extensions=_extensions(pty=True, forward_ports=True, forward_agent=True, forward_x11=True),
    )


def host_template(
    *, serial: int, server: str, names: Sequence[str], key: PublicKey, now: int, ttl: int = HOST.max_ttl
) -> CertificateTemplate:
    """For a server's host key. `names` are what clients call it: from our record of the server, not from it."""
    if isinstance(names, str):
        raise TypeError("names must be a sequence of names, not one string")
    valid_after, valid_before = _window(HOST, now, ttl, None)
    return CertificateTemplate(
        serial=serial,
        kind=HOST.kind,
        key_id=f"postern:host:{server}:{serial}",
        public_key=key,
        principals=tuple(dict.fromkeys(names)),
        valid_after=valid_after,
        valid_before=valid_before,
    )


def _window(profile: Profile, now: int, ttl: int, until: float | None) -> tuple[int, int]:
    """From when until when: `ttl` seconds from now, not beyond `until`, nor longer than the profile has it."""
    if type(ttl) is not int or ttl <= 0:
        raise Invalid("the time to live must be a whole number of seconds above zero")
    if until is not None and math.isnan(until):
        raise Invalid("the end of the permit is not a time")
    after = now - BACKDATE
    before = min(now + ttl, after + profile.max_ttl)
    return after, before if until is None else math.floor(min(before, until))


def _extensions(pty: bool, forward_ports: bool, forward_agent: bool, forward_x11: bool) -> Options:
    wanted = {
        "permit-X11-forwarding": forward_x11,
        "permit-agent-forwarding": forward_agent,
        "permit-port-forwarding": forward_ports,
        "permit-pty": pty,
    }
    return tuple((name, "") for name in sorted(wanted) if wanted[name])
