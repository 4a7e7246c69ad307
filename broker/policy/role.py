"""A role as administrators write it: what it allows, what it denies, and the terms it sets.

These are checked values (`broker.documents` makes them from YAML) with templates not yet filled in;
`compile_role()` turns one into a `Grant` for a subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

MfaLevel = Literal["no", "yes", "phishing-resistant"]
LabelPatterns = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class AdminRule:
    """Which administrative verbs on which kinds, e.g. `list`, `read` on `event`; `*` stands for all."""

    resources: tuple[str, ...]
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """One side of a role, `spec.allow` or `spec.deny`. Empty means: says nothing about it."""

    logins: tuple[str, ...] = ()
    server_labels: LabelPatterns = field(default_factory=dict)
    app_labels: LabelPatterns = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    rules: tuple[AdminRule, ...] = ()
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MfaOptions:
    """What a role or a resource demands of the second factor; None means it has no opinion. Durations in seconds.

    `mfa_per_session`: each access session wants a confirmation of its own; `mfa_reuse` lets one cover a batch.
    """

    require_session_mfa: MfaLevel | None = None
    mfa_verification_interval: float | None = None
    mfa_per_session: bool | None = None
    mfa_reuse: float | None = None


NO_DEMANDS = MfaOptions()


@dataclass(frozen=True, slots=True)
class Options(MfaOptions):
    """The terms a role sets, `spec.options`; None means it has no opinion. Durations are in seconds."""

    max_session_ttl: float | None = None
    pin_source_ip: bool | None = None
    forward_agent: bool | None = None
    forward_local: bool | None = None
    forward_remote: bool | None = None
    ssh_file_copy: bool | None = None
    permit_x11_forwarding: bool | None = None
    pty: bool | None = None


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """A role document, checked."""

    kind: ClassVar[str] = "role"

    name: str
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    allow: Rules = Rules()
    deny: Rules = Rules()
    options: Options = Options()
