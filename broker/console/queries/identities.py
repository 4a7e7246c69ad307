"""The claim inspector: what a connector last said of somebody, how each rule fared then, and how it would fare now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any
from uuid import UUID

from accounts import connectors
from accounts.models import Identity, User
from accounts.names import group_name
from broker.console.queries.connectors import KIND_WORDS
from broker.documents import ScimSpec
from broker.errors import Invalid, NotFound
from broker.policy.claims import Outcome, RuleOutcome, flatten, map_claims

REMOVED = "(removed)"
LONGEST = 500
MAX_SHOWN = 200
_SECRET_NAME = re.compile(
    r"passw|secret|token|credential|assertion|private|api[-_]?key|^key$|cookie|_hash$|^nonce$|^code$|^unicodePwd$|^krb",
    re.IGNORECASE,
)
# Three parts of base64url (JWT), our own tokens, and keys in PEM.
_SECRET_VALUE = re.compile(r"\beyJ[\w-]{8,}\.[\w.-]*|\bptn_[a-z]+_\w{10,}|-----BEGIN [A-Z ]*PRIVATE KEY")


@dataclass(frozen=True, slots=True)
class Fared:
    """One rule: what it gave when they last came, and what it would give now; None where there is no such rule."""

    then: RuleOutcome | None
    now: RuleOutcome | None

    @property
    def differs(self) -> bool:
        return self.then != self.now


@dataclass(frozen=True, slots=True)
class Particular:
    """A name, address, list of groups or trait: as it was given then, and as it would be now."""

    name: str
    then: str
    now: str

    @property
    def differs(self) -> bool:
        return self.then != self.now


@dataclass(frozen=True, slots=True)
class Inspected:
    """An identity as the inspector shows it. `now` is None if the mapping cannot be asked; `problem` says why."""

    identity: Identity
    kind: str
    claims: tuple[tuple[str, str], ...]
    more_claims: int
    rules: tuple[Fared, ...]
    particulars: tuple[Particular, ...]
    maps: bool
    problem: str = ""

    @property
    def differs(self) -> bool:
        """Whether the mapping would give something else now."""
        return any(rule.differs for rule in self.rules) or any(one.differs for one in self.particulars)


def identities_of(user: User) -> list[Identity]:
    """The identities of a user, by connector."""
    return list(user.identities.select_related("connector").order_by("connector__name", "created_at"))


def identity_of(user: User, ident: UUID) -> Identity:
    """One of them. Raises NotFound."""
    found = user.identities.select_related("connector").filter(pk=ident).first()
    if found is None:
        raise NotFound("there is no such identity", "it may be gone already")
    return found


def inspected(identity: Identity) -> Inspected:
    """What the connector said, and what the mapping made and would make of it."""
    claims = dict(identity.claims) if isinstance(identity.claims, dict) else {}
    then = _kept(identity.outcome)
    now, problem, maps = _now(identity, claims)
    shown = [(name, value) for name, value in sorted(shown_claims(claims).items())]
    return Inspected(
        identity,
        KIND_WORDS[identity.connector.kind],
        tuple(shown[:MAX_SHOWN]),
        max(0, len(shown) - MAX_SHOWN),
        tuple(_side_by_side(then, now)) if now else tuple(Fared(rule, None) for rule in then.rules),
        tuple(_particulars(then, now or then)),
        maps,
        problem,
    )


def _now(identity: Identity, claims: Mapping[str, Any]) -> tuple[Outcome | None, str, bool]:
    try:
        spec = connectors.spec_of(identity.connector)
    except Invalid:
        return None, "the connector's document cannot be read", True
    if isinstance(spec, ScimSpec):
        return None, "", False
    return map_claims(spec.mapping, flatten(claims), group_name), "", True


def _side_by_side(then: Outcome, now: Outcome) -> list[Fared]:
    """Rules that read the same beside each other, in the order of now; what is gone comes last."""
    if [rule.rule for rule in then.rules] == [rule.rule for rule in now.rules]:
        return [Fared(old, new) for old, new in zip_longest(then.rules, now.rules)]
    left = list(then.rules)
    rows = []
    for rule in now.rules:
        old = next((one for one in left if one.rule == rule.rule), None)
        if old is not None:
            left.remove(old)
        rows.append(Fared(old, rule))
    return rows + [Fared(old, None) for old in left]


def _particulars(then: Outcome, now: Outcome) -> list[Particular]:
    rows = [
        Particular("User name", then.username, now.username),
        Particular("Full name", then.full_name, now.full_name),
        Particular("E-mail", then.email, now.email),
        Particular("Groups", ", ".join(then.groups), ", ".join(now.groups)),
    ]
    for name in sorted({*then.traits, *now.traits}):
        rows.append(
            Particular(f"Trait {name}", ", ".join(then.traits.get(name, ())), ", ".join(now.traits.get(name, ())))
        )
    return rows


def _kept(raw: Any) -> Outcome:
    """An outcome as it was kept; one that an older version wrote, or that was damaged, counts as empty."""
    try:
        return Outcome(
            username=str(raw["username"]),
            full_name=str(raw["full_name"]),
            email=str(raw["email"]),
            groups=tuple(map(str, raw["groups"])),
            traits={str(name): tuple(map(str, values)) for name, values in raw["traits"].items()},
            rules=tuple(
                RuleOutcome(str(one["rule"]), tuple(map(str, one["gave"])), str(one["why"])) for one in raw["rules"]
            ),
        )
    except (KeyError, TypeError, AttributeError):
        return Outcome()


def shown_claims(claims: Mapping[str, Any]) -> dict[str, str]:
    """Claims in words, without what is or sounds like a secret."""
    return {str(name): _value_shown(str(name), value) for name, value in claims.items()}


def _value_shown(name: str, value: Any) -> str:
    text = REMOVED if _SECRET_NAME.search(name) else _in_words(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _in_words(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "(null)"
        case list() | tuple():
            return ", ".join(map(_in_words, value)) or "(empty)"
        case Mapping():
            return "; ".join(f"{name}: {_value_shown(str(name), item)}" for name, item in value.items()) or "(empty)"
        case _:
            return REMOVED if _SECRET_VALUE.search(str(value)) else str(value)
