"""What a provider said about somebody: what a mapping needs of it, what may be kept, what second factor it tells."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from broker.documents.connector_spec import OidcSpec, ProviderFactor
from broker.policy.claims import MAX_VALUES, ClaimMapping, flatten
from broker.policy.template import parse_template
from broker.policy.terms import PHISHING_RESISTANT

_OF_THE_PROTOCOL = frozenset(
    {"aud", "azp", "nonce", "at_hash", "c_hash", "s_hash", "jti", "exp", "iat", "nbf", "sid", "events"}
    | {"_claim_names", "_claim_sources"}  # these may hold access tokens
)
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]*")
_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")
"""What a database cannot keep; replaced, it names nobody and no group."""

REMOVED = "(removed)"

KNOWN_AMR = frozenset(
    {"face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin", "pwd", "rba", "retina", "sc", "sms", "swk"}
    | {"tel", "user", "vbm", "wia"}
)
"""RFC 8176."""


def claims_needed(spec: OidcSpec) -> frozenset[str]:
    """The claims (dotted paths) that the mapping and the rules for new accounts ask for."""
    asked = _Asked()
    mapping = spec.mapping
    for text in _templates(mapping):
        template = parse_template(text)
        if template is not None:
            tuple(template.fill(asked))
    names = {rule.claim for rule in mapping.groups} | asked.names
    if spec.creation is not None and spec.creation.email_domains:
        names.add("email_verified")
    return frozenset(names)


def _templates(mapping: ClaimMapping) -> Iterable[str]:
    yield from filter(None, (mapping.username, mapping.full_name, mapping.email))
    for rule in mapping.groups:
        yield from rule.groups
    for texts in mapping.traits.values():
        yield from texts


class _Asked(dict[str, tuple[str, ...]]):
    """Traits that are all absent, and remember which were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = ()) -> Any:
        self.names.add(name)
        return default


def together(said: Mapping[str, Any], signed: Mapping[str, Any]) -> dict[str, Any]:
    """Claims of UserInfo (`said`) and of the ID token, which goes first. A verified address is verified by whom it is
    from: UserInfo says nothing about another address in the token.
    """
    if signed.get("email", said.get("email")) != said.get("email"):
        said = {name: value for name, value in said.items() if name != "email_verified"}
    return {**said, **signed}


def is_verified(email: str, claims: Mapping[str, Any]) -> bool:
    """Whether the provider says that this address is theirs: `email_verified` is about the claim `email` alone."""
    return claims.get("email_verified") is True and bool(email) and email == claims.get("email")


def lacks(claims: Mapping[str, Any], needed: frozenset[str]) -> bool:
    """Whether a claim that is needed is not among `claims`."""
    return not needed <= flatten(claims).keys()


def kept(claims: Mapping[str, Any]) -> dict[str, Any]:
    """What may be kept and shown: plain values without the protocol's own, and without anything like a token."""
    return {_text(name): _plain(value, 0) for name, value in claims.items() if name not in _OF_THE_PROTOCOL}


def _plain(value: Any, depth: int) -> Any:
    match value:
        case str():
            return REMOVED if _TOKEN.search(value) else _text(value)
        case float() if not math.isfinite(value):
            return REMOVED
        case dict():
            return {_text(k): _plain(v, depth + 1) for k, v in value.items()} if depth < 5 else REMOVED
        case list():
            return [_plain(item, depth + 1) for item in value[:MAX_VALUES]] if depth < 5 else REMOVED
        case _:
            return value


def _text(text: str) -> str:
    return _UNKEEPABLE.sub("\ufffd", text)[:4096]


@dataclass(frozen=True, slots=True)
class FactorVerdict:
    """Whether the provider gave a second factor that counts here: `amr` for the session, `at` when; `words` why."""

    words: str
    counts: bool = False
    amr: tuple[str, ...] = ()
    at: datetime | None = None


def factor_verdict(factor: ProviderFactor | None, claims: Mapping[str, Any], now: datetime) -> FactorVerdict:
    """What the ID token's `amr` and `acr` are worth, as the connector says. Claims of UserInfo must not come here."""
    if factor is None:
        return FactorVerdict("the connector counts no second factor of the provider, so ours is asked for")
    said = claims.get("amr")
    amr = [value for value in said if isinstance(value, str)] if isinstance(said, list) else []
    acr = claims.get("acr")
    wanted = " or ".join([*(f"amr {value}" for value in factor.amr), *(f"acr {value}" for value in factor.acr)])
    if set(amr).isdisjoint(factor.amr) and not (isinstance(acr, str) and acr in factor.acr):
        return FactorVerdict(f"the provider did not say {wanted}, so our second factor is asked for")
    # Some providers say `swk` of an app that asks for a tap: what cannot be phished is what the connector names.
    believed = KNOWN_AMR - (PHISHING_RESISTANT - set(factor.amr))
    known = tuple(value for value in amr if value in believed and value != "mfa")
    at = claims.get("auth_time")  # never `iat`: the token is new, the session there may be days old
    when = datetime.fromtimestamp(at, UTC) if type(at) is int and 0 < at < 2**33 else None
    if when is None:
        return FactorVerdict("the provider did not say when the second factor was given, so ours is asked for")
    return FactorVerdict("the provider gave a second factor that counts here", True, known, min(when, now))
