"""Lint: the only way from a template to something that may be signed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Final

from broker.ca.profile import MAX_PAST, Profile
from broker.ca.public_key import PublicKey, from_blob
from broker.ca.template import CertificateTemplate, Options
from broker.ca.wire import Malformed
from broker.errors import Invalid, Problem

KEY_ID = re.compile(r"postern:[a-z]+(:[A-Za-z0-9_.@+-]+)+")
MAX_KEY_ID = 255
MAX_SERIAL = 2**63 - 1
"""The largest a signed 64-bit database column holds; OpenSSH would take one bit more."""

_LINT: Final = object()


class CheckedTemplate:
    """A template that passed `lint`, which alone makes one; the only thing `sign` takes."""

    __slots__ = ("template",)
    template: CertificateTemplate

    def __init__(self, template: CertificateTemplate, made_by: object) -> None:
        if made_by is not _LINT:
            raise TypeError("only lint() makes a CheckedTemplate")
        object.__setattr__(self, "template", template)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a CheckedTemplate does not change")

    def __reduce_ex__(self, protocol: object) -> str:
        # Copying and unpickling make objects without asking __init__.
        raise TypeError("a CheckedTemplate is not copied or stored")


def lint(template: CertificateTemplate, profile: Profile, now: int) -> CheckedTemplate:
    """Check a template against its profile at Unix time `now`; raises `Invalid` naming every problem."""
    problems = problems_in(template, profile, now)
    if problems:
        raise Invalid(
            f"the {profile.name} certificate cannot be signed: {problems[0]}",
            problems=[Problem(text) for text in problems],
        )
    return CheckedTemplate(template, _LINT)


def problems_in(template: CertificateTemplate, profile: Profile, now: int) -> tuple[str, ...]:
    """Everything wrong with a template, in words; empty when it may be signed."""
    return tuple(
        problem
        for check in (_kind, _serial, _key_id, _key, _principals, _times, _extensions, _critical_options)
        for problem in check(template, profile, now)
    )


def _kind(template: CertificateTemplate, profile: Profile, now: int) -> Iterator[str]:
    if template.kind is not profile.kind:
        yield f"a {profile.name} certificate is of kind {profile.kind}"


def _serial(template: CertificateTemplate, profile: Profile, now: int) -> Iterator[str]:
    if not _is_int(template.serial) or not 0 < template.serial <= MAX_SERIAL:
        yield "the serial must be a whole number from 1 to 2^63 - 1"


def _key_id(template: CertificateTemplate, profile: Profile, now: int) -> Iterator[str]:
    key_id = template.key_id
    if not isinstance(key_id, str) or len(key_id) > MAX_KEY_ID or not KEY_ID.fullmatch(key_id):
        yield "the key id must be postern:KIND:… of letters, digits and _ . @ + - :"


def _key(template: CertificateTemplate, profile: Profile, now: int) -> Iterator[str]:
    key = template.public_key
    try:
        if not isinstance(key, PublicKey) or from_blob(key.blob) != key:
            yield "the public key's type is not the one inside it"
        elif profile.kind == "host" and key.is_hardware:
            yield "a host key cannot be a FIDO key"
    except Malformed as problem:
        yield f"the public key is not usable: {problem}"


def _principals(template: CertificateTemplate, profile: Profile, now: int) -> Iterator[str]:
    principals: Any = template.principals
    if type(principals) is not tuple or not all(type(principal) is str for principal in principals):
        yield "the principals must be a tuple of strings"
        return
    if not principals:
        yield "there must be a principal: without one it would be good for everybody"
    if len(principals) > profile.max_principals:
        yield f"there may be {profile.max_principals} principals at most"
    if len(set(principals)) != len(principals):
        yield "a principal stands there twice"
    for principal in principals:
        if problem := profile.principal_problem(principal):
            yield f"principal {principal[:100]!r}: {problem}"


def _times(template: CertificateTemplate, profile: Profile, now: int) -> Iterator[str]:
    after, before = template.valid_after, template.valid_before
    if not (_is_int(after) and _is_int(before) and _is_int(now)):
        yield "the times must be whole Unix seconds"
        return
    if after < now - MAX_PAST:
        yield f"it may begin {MAX_PAST} s in the past at most"
    if after > now:
        yield "it must not begin in the future"
    if before <= now:
        yield "it would have ended already"
    if before - after > profile.max_ttl:
        yield f"it may be good for {profile.max_ttl} s at most"


def _extensions(template: CertificateTemplate, profile: Profile, now: int) -> Iterator[str]:
    yield from _option_problems(template.extensions, profile.extensions, "extension")
    if _are_options(template.extensions) and any(value for _, value in template.extensions):
        yield "an extension has no value"


def _critical_options(template: CertificateTemplate, profile: Profile, now: int) -> Iterator[str]:
    options = template.critical_options
    yield from _option_problems(options, profile.critical_options, "critical option")
    if _are_options(options):
        for name, value in options:
            if name == "source-address" and not _are_networks(value):
                yield "source-address must be addresses or networks, separated by commas"


def _option_problems(options: Options, allowed: frozenset[str], what: str) -> Iterator[str]:
    if not _are_options(options):
        yield f"each {what} must be a pair of strings"
        return
    names = [name for name, _ in options]
    for name in names:
        if name not in allowed:
            yield f"{what} {name[:100]!r} is not allowed here"
    if names != sorted(set(names)):
        yield f"each {what} must stand there once, in lexical order"


def _are_options(options: Any) -> bool:
    return type(options) is tuple and all(
        type(pair) is tuple and len(pair) == 2 and all(type(part) is str for part in pair) for pair in options
    )


def _are_networks(value: str) -> bool:
    """OpenSSH's list: no spaces, zones or host bits beyond the mask, which sshd would refuse at every login."""
    if "%" in value:
        return False
    try:
        return all(str(ipaddress.ip_network(part)).startswith(part) for part in value.split(","))
    except ValueError:
        return False


def _is_int(value: object) -> bool:
    return type(value) is int
