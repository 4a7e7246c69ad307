"""What a document demands of the second factor: the same keys in a role's options and in an app's or server's spec."""

from __future__ import annotations

from typing import Any, cast

from broker.documents.duration import duration_text, parse_duration
from broker.documents.section import Section
from broker.policy.role import MfaLevel, MfaOptions

LONGEST_REUSE = 3600.0
_LEVELS = ("no", "yes", "phishing-resistant")


def read_mfa(section: Section) -> MfaOptions:
    """The demands that stand in a mapping; problems are noted in it."""
    read = MfaOptions(
        require_session_mfa=_read_level(section),
        mfa_verification_interval=read_duration(section, "mfa_verification_interval"),
        mfa_per_session=section.flag("mfa_per_session"),
        mfa_reuse=read_duration(section, "mfa_reuse"),
    )
    if read.mfa_reuse is not None and not read.mfa_per_session:
        section.problem("mfa_reuse", "means nothing without mfa_per_session: true", "write that too, or remove it")
    elif read.mfa_reuse is not None and read.mfa_reuse > LONGEST_REUSE:
        section.problem("mfa_reuse", f"must be at most {duration_text(LONGEST_REUSE)}")
    return read


def read_duration(section: Section, key: str) -> float | None:
    """Seconds; None when absent or wrong."""
    text = section.text(key)
    if key not in section:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        section.problem(key, str(error))
        return None


def _read_level(section: Section) -> MfaLevel | None:
    value = section.take("require_session_mfa")
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in _LEVELS:
        return cast(MfaLevel, value)
    section.problem("require_session_mfa", "must be no, yes or phishing-resistant")
    return None


def mfa_document(options: MfaOptions) -> dict[str, Any]:
    """The demands as plain values; None for what says nothing."""
    interval, reuse = options.mfa_verification_interval, options.mfa_reuse
    return {
        "require_session_mfa": options.require_session_mfa,
        "mfa_verification_interval": None if interval is None else duration_text(interval),
        "mfa_per_session": options.mfa_per_session,
        "mfa_reuse": None if reuse is None else duration_text(reuse),
    }
