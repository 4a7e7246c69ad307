"""The terms of a permit: of several allowing roles, those that set a term are heard, and the strictest one counts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import inf
from typing import NamedTuple

from broker.policy.attempt import APP_REQUEST, CERTIFICATE_ISSUE, SSH_SESSION, Access, Attempt, Login
from broker.policy.decision import Permit
from broker.policy.reason import Reason
from broker.policy.role import MfaOptions, Options

# An enum's member takes a tenth of a microsecond to look up, and every decision would.
ROLE_ALLOWS = Reason.ROLE_ALLOWS

REASK_SECONDS = 30.0
ACCESS_CERTIFICATE_SECONDS = 300.0
IDENTITY_CERTIFICATE_SECONDS = 3600.0
FRESH_MFA_SECONDS = 3600.0
OWN_MFA_SECONDS = 300.0
"""How soon after a confirmation an access session must start that wants one of its own."""
# Values of RFC 8176 that a phishing site cannot get: keys that sign for the real address only, and smart cards.
PHISHING_RESISTANT = frozenset({"hwk", "swk", "sc"})

PTY, AGENT, LOCAL, REMOTE, X11, FILES, UNPINNED = (1 << bit for bit in range(7))
PERSON_DEFAULTS = PTY | FILES
MACHINE_DEFAULTS = FILES


class Terms(NamedTuple):
    """What one role or several together demand. Durations in seconds; `yes` and `no` are the switches voted on.

    `mfa_reuse` is for how long one confirmation may start access sessions: 0, a single one; infinity, no access session
    wants a confirmation of its own. So the smallest is the strictest.
    """

    max_age: float = inf
    mfa_within: float = inf
    phishing_resistant: bool = False
    yes: int = 0
    no: int = 0
    mfa_reuse: float = inf

    def failure(self, login: Login, at: float, access: Access | None = None) -> Reason | None:
        """Why this login session does not fulfil them, within an access session or to begin one; None when it does."""
        max_age, within, resistant, _, _, reuse = self  # a third of the time that looking each up takes
        if at >= login.started_at + max_age:
            return Reason.SESSION_TOO_OLD
        if within == inf and reuse == inf and not resistant:
            return None
        if login.mfa_at is None:
            return Reason.MFA_REQUIRED
        if resistant and not login.amr & PHISHING_RESISTANT:
            return Reason.MFA_KIND
        if at >= login.mfa_at + within:
            return Reason.MFA_TOO_OLD
        return None if reuse == inf else self._own_failure(login.mfa_at, login.mfa_spent_at, at, access)

    def _own_failure(self, mfa_at: float, spent_at: float | None, at: float, access: Access | None) -> Reason | None:
        """Why there is no confirmation of its own. What needs no access session spends none, and wants a good one."""
        if access is not None:
            return None if access.mfa_at is not None else Reason.MFA_SPENT
        # Asked for 0 by itself: were the clock set back, the sum would lie ahead of us for a second session.
        if spent_at is not None and self.mfa_reuse > 0 and at < spent_at + self.mfa_reuse:
            return None
        if at >= mfa_at + OWN_MFA_SECONDS:
            return Reason.MFA_TOO_OLD
        return None if spent_at is None else Reason.MFA_SPENT

    def end_of(self, login: Login) -> float:
        """When the first of all limits is reached, in Unix seconds."""
        end = login.expires_at
        aged = login.started_at + self.max_age
        if aged < end:
            end = aged
        if self.mfa_within != inf and login.mfa_at is not None:
            stale = login.mfa_at + self.mfa_within
            if stale < end:
                end = stale
        return end

    def switches(self, defaults: int) -> int:
        """The switches that are on: every role that has an opinion says yes; without one, the default."""
        return (defaults | self.yes) & ~self.no


@lru_cache(maxsize=4096)
def terms_of(options: Options) -> Terms:
    """The terms that a role's options set."""
    votes = (
        (PTY, options.pty),
        (AGENT, options.forward_agent),
        (LOCAL, options.forward_local),
        (REMOTE, options.forward_remote),
        (X11, options.permit_x11_forwarding),
        (FILES, options.ssh_file_copy),
        (UNPINNED, None if options.pin_source_ip is None else not options.pin_source_ip),
    )
    return mfa_terms(options)._replace(
        max_age=inf if options.max_session_ttl is None else options.max_session_ttl,
        yes=sum(switch for switch, vote in votes if vote is True),
        no=sum(switch for switch, vote in votes if vote is False),
    )


def mfa_terms(options: MfaOptions) -> Terms:
    """The terms that demands on the second factor set."""
    within = options.mfa_verification_interval
    if within is None:
        within = FRESH_MFA_SECONDS if options.require_session_mfa in ("yes", "phishing-resistant") else inf
    return Terms(
        mfa_within=within,
        phishing_resistant=options.require_session_mfa == "phishing-resistant",
        mfa_reuse=(options.mfa_reuse or 0.0) if options.mfa_per_session else inf,
    )


def terms_of_resource(options: MfaOptions) -> Terms | None:
    """What using a resource demands; None when it demands nothing, which is quicker to decide on."""
    terms = mfa_terms(options)
    return None if terms == Terms() else terms


def strictest(several: Sequence[Terms]) -> Terms:
    """All of these terms together."""
    strict = several[0]
    for terms in several:
        # Roles with equal options share one object, so there is mostly nothing to merge.
        if terms is not strict:
            strict = _both(strict, terms)
    return strict


def _both(one: Terms, other: Terms) -> Terms:
    age, within, resistant, yes, no, reuse = one
    other_age, other_within, other_resistant, other_yes, other_no, other_reuse = other
    return Terms(
        age if age < other_age else other_age,
        within if within < other_within else other_within,
        resistant or other_resistant,
        yes | other_yes,
        no | other_no,
        reuse if reuse < other_reuse else other_reuse,
    )


def permit_by_roles(attempt: Attempt, roles: tuple[str, ...], terms: Terms, ends_at: float, defaults: int) -> Permit:
    """The permit that these roles give on these terms until `ends_at` (Unix seconds)."""
    at = attempt.context.at
    until = at + REASK_SECONDS
    if ends_at < until:
        until = ends_at
    if attempt.action != SSH_SESSION:
        ttl = ends_at - at if attempt.action == APP_REQUEST else 0.0
        return Permit(roles, until, ROLE_ALLOWS, ttl, ends_at, terms.mfa_reuse)
    ttl = ends_at - at
    if ttl > ACCESS_CERTIFICATE_SECONDS:
        ttl = ACCESS_CERTIFICATE_SECONDS
    return Permit(roles, until, ROLE_ALLOWS, ttl, ends_at, terms.mfa_reuse, *_SESSION[terms.switches(defaults)])


def _session(on: int) -> tuple[bool, ...]:
    """What an SSH session may do with these switches on, in the order of `Permit`'s last fields."""
    permit = Permit(
        (),
        0.0,
        pty=bool(on & PTY),
        forward_agent=bool(on & AGENT),
        forward_ports=on & (LOCAL | REMOTE) == LOCAL | REMOTE,
        forward_local=bool(on & LOCAL),
        forward_remote=bool(on & REMOTE),
        forward_x11=bool(on & X11),
        file_copy=bool(on & FILES),
        pin_source=not on & UNPINNED,
    )
    return permit[Permit._fields.index("pty") :]  # type: ignore[return-value]


_SESSION = tuple(_session(on) for on in range(2 * UNPINNED))


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
