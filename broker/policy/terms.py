"""The terms of a permit: of several allowing roles, those that set a term are heard, and the strictest one counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from broker.policy.attempt import APP_REQUEST, CERTIFICATE_ISSUE, SSH_SESSION, Attempt, Login, Subject
from broker.policy.decision import Permit
from broker.policy.grant import Grant
from broker.policy.reason import Reason
from broker.policy.role import Options

REASK_SECONDS = 30.0
ACCESS_CERTIFICATE_SECONDS = 300.0
IDENTITY_CERTIFICATE_SECONDS = 3600.0
FRESH_MFA_SECONDS = 3600.0
# Values of RFC 8176 that a phishing site cannot get: keys that sign for the real address only, and smart cards.
PHISHING_RESISTANT = frozenset({"hwk", "swk", "sc"})


@dataclass(slots=True)
class Gate:
    """What the login session must fulfil, gathered from the options of the roles that allow. Durations in seconds."""

    max_age: float = math.inf
    mfa_within: float = math.inf
    phishing_resistant: bool = False
    held_until: float = math.inf

    def add(self, options: Options) -> None:
        if options.max_session_ttl is not None:
            self.max_age = min(self.max_age, options.max_session_ttl)
        within = options.mfa_verification_interval
        if options.require_session_mfa in ("yes", "phishing-resistant"):
            self.phishing_resistant |= options.require_session_mfa == "phishing-resistant"
            within = FRESH_MFA_SECONDS if within is None else within
        if within is not None:
            self.mfa_within = min(self.mfa_within, within)

    def failure(self, login: Login, at: float) -> Reason | None:
        if at >= login.started_at + self.max_age:
            return Reason.SESSION_TOO_OLD
        if self.mfa_within == math.inf and not self.phishing_resistant:
            return None
        if login.mfa_at is None:
            return Reason.MFA_REQUIRED
        if self.phishing_resistant and not login.amr & PHISHING_RESISTANT:
            return Reason.MFA_KIND
        return Reason.MFA_TOO_OLD if at >= login.mfa_at + self.mfa_within else None

    def ends_at(self, login: Login) -> float:
        """When the first of all limits is reached, in Unix seconds."""
        end = min(login.expires_at, login.started_at + self.max_age, self.held_until)
        return end if login.mfa_at is None else min(end, login.mfa_at + self.mfa_within)


def gate_of(grants: Sequence[Grant]) -> Gate:
    """The strictest demands of all these grants together."""
    gate = Gate()
    for grant in grants:
        if grant.until is not None:
            gate.held_until = min(gate.held_until, grant.until)
        if grant.options is not None:
            gate.add(grant.options)
    return gate


def permit_by_roles(attempt: Attempt, subject: Subject, grants: Sequence[Grant], ends_at: float) -> Permit:
    """The permit that these allowing grants give until `ends_at` (Unix seconds)."""
    at = attempt.context.at
    roles = tuple(dict.fromkeys(grant.role for grant in grants))
    until = min(ends_at, at + REASK_SECONDS)
    if attempt.action != SSH_SESSION:
        ttl = ends_at - at if attempt.action == APP_REQUEST else 0.0
        return Permit(roles, until, max_ttl=ttl, ends_at=ends_at)
    options = [grant.options for grant in grants if grant.options is not None]
    local = _agreed([o.forward_local for o in options], False)
    remote = _agreed([o.forward_remote for o in options], False)
    return Permit(
        roles,
        until,
        max_ttl=min(ends_at - at, ACCESS_CERTIFICATE_SECONDS),
        ends_at=ends_at,
        pty=_agreed([o.pty for o in options], subject.kind == "person"),
        forward_agent=_agreed([o.forward_agent for o in options], False),
        forward_ports=local and remote,
        forward_local=local,
        forward_remote=remote,
        forward_x11=_agreed([o.permit_x11_forwarding for o in options], False),
        file_copy=_agreed([o.ssh_file_copy for o in options], True),
        pin_source=not _agreed([None if o.pin_source_ip is None else not o.pin_source_ip for o in options], False),
    )


def permit_signed_in(attempt: Attempt, login: Login) -> Permit:
    """The permit for what needs a login session and no role."""
    at = attempt.context.at
    ends_at = login.expires_at
    ttl = min(ends_at - at, IDENTITY_CERTIFICATE_SECONDS) if attempt.action == CERTIFICATE_ISSUE else 0.0
    return Permit((), min(ends_at, at + REASK_SECONDS), Reason.SIGNED_IN, max_ttl=ttl, ends_at=ends_at)


def permit_public(attempt: Attempt) -> Permit:
    """The permit that anybody has on an app's public path: for this request, and no credential comes of it."""
    at = attempt.context.at
    return Permit((), at + REASK_SECONDS, Reason.PUBLIC_PATH, ends_at=at + REASK_SECONDS)


def _agreed(opinions: Sequence[bool | None], otherwise: bool) -> bool:
    """True when every role that has an opinion says so; `otherwise` when none has one."""
    heard = [opinion for opinion in opinions if opinion is not None]
    return all(heard) if heard else otherwise
