"""What a notice says: on the page and in the mail, the same words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from accounts.models import Notice

Kind = Notice.Kind

FACTORS = {"totp": "authenticator app", "passkey": "passkey or security key", "recovery-codes": "recovery codes"}
NOT_ME = "sign out everywhere, change your password, and tell an administrator"
NOT_ASKED = "refuse it under My account, and tell an administrator"

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Words:
    """A title, what happened, and what to do if it was not oneself."""

    title: str
    text: str
    advice: str = NOT_ME


def words_of(kind: str, data: dict[str, Any]) -> Words:
    """The words for a notice; a kind that is not known any more is told plainly."""
    said = {name: plain(str(value)) for name, value in data.items()}
    factor = FACTORS.get(said.get("factor", ""), "second factor")
    called = f" “{said['name']}”" if said.get("name") else ""
    connector = said.get("connector", "a provider")
    match kind:
        case Kind.NEW_DEVICE:
            return Words("A new browser", f"{said.get('device') or 'a browser'} that was not known signed in as you")
        case Kind.FACTOR_ADDED:
            many = factor == FACTORS["recovery-codes"]
            made = f"new {factor} were made" if many else f"a new {factor}{called} was added"
            instead = "; the old ones no longer work" if many else "; the old one no longer works"
            return Words(f"New {factor}", made + (instead if data.get("replaced") else ""))
        case Kind.FACTOR_REMOVED:
            return Words(f"{factor.capitalize()} removed", f"the {factor}{called} no longer works")
        case Kind.FACTORS_RESET:
            text = "your second factors and recovery codes were forgotten, and you were signed out everywhere"
            return Words("Second factor reset", text, "tell an administrator at once")
        case Kind.RESET_ASKED:
            text = (
                f"{said.get('by') or 'an administrator'} asked to forget your second factors; it takes effect when"
                f" another administrator approves it, or at {_moment(said.get('due_at', ''))}"
            )
            return Words("A reset of your second factor was asked for", text, NOT_ASKED)
        case Kind.PASSWORD_CHANGED:
            return Words("Password changed", "your password was changed, and all other sessions ended")
        case Kind.RECOVERY_CODE_USED:
            return Words("Recovery code used", f"a recovery code was used; {said.get('left', 'some')} are left")
        case Kind.IDENTITY_LINKED:
            return Words("Another way to sign in", f"your account was connected with one at {connector}")
        case Kind.IDENTITY_UNLINKED:
            return Words("A way to sign in is gone", f"your account is no longer connected with one at {connector}")
        case Kind.ADDRESS_CHANGED:
            text = f"{said.get('device') or 'a session'} moved to a network that you had not used before"
            return Words("A new network", text)
        case Kind.SESSION_ENDED:
            where = f"your session in {said.get('device') or 'a browser'}"
            if data.get("why") == "browser-changed":
                text = f"{where} was used by another one ({said.get('other') or 'unknown'}), so it was ended"
            else:
                text = f"{where} was used from another network, so it was ended"
            return Words("A session was ended", text)
        case Kind.THROTTLED:
            text = "somebody typed wrong passwords or codes for your account, ten or more; trying is slowed down"
            return Words(
                "Somebody is guessing", text, "nobody got in by this; is your password used elsewhere? change it"
            )
        case Kind.PASSKEY_COPIED:
            text = f"the passkey or security key{called} was refused: its counter says that a copy of it was used"
            return Words("Is a key of yours copied?", text, "remove it, register another one, tell an administrator")
    return Words("About your account", plain(kind))


def plain(text: str) -> str:
    """Text from elsewhere in one line, without what cannot be seen or turns the line around."""
    return _UNSEEN.sub("�", text)[:200]


def _moment(iso: str) -> str:
    return iso.replace("T", " ").replace("+00:00", " UTC")
