"""Conditions in CEL (Common Expression Language): compiled once when a role is read, asked with one attempt at a time.

What an expression may name is listed in `VARIABLES` and `FUNCTIONS`; anything else is refused when the role is saved.
An expression that fails, or answers anything but true or false, is an error: never a yes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from difflib import get_close_matches
from functools import lru_cache, partial
from typing import Any
from zoneinfo import ZoneInfo

from broker.policy.attempt import Attempt
from broker.policy.engine import cel
from broker.policy.reason import Reason

MAX_SOURCE = 2048
MAX_LOOPS = 2
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

VARIABLES: Mapping[str, frozenset[str]] = {
    "source": frozenset({"ip"}),
    "now": frozenset({"unix", "hour", "minute", "weekday"}),
    "mfa": frozenset({"age", "kinds"}),
    "user": frozenset({"name", "kind", "groups", "traits"}),
    "resource": frozenset({"kind", "name", "labels"}),
    "action": frozenset(),
    "login": frozenset(),
}
FUNCTIONS = frozenset({"in_net", "hours", "weekday"})
_STANDARD = frozenset(
    {
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "has",
        "int",
        "uint",
        "double",
        "string",
        "bool",
        "type",
        "dyn",
    }
    | {"min", "max"}
)

_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'")
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_FIELD = re.compile(r"(?<![\w.\])])(source|now|mfa|user|resource)\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*§(\d+)§)")
_CALL = re.compile(r"\b(in_net|hours|weekday)\s*\(([^()]*)\)")
_LITERAL = re.compile(r"§(\d+)§")


class ConditionError(Exception):
    """The condition could not be answered for this attempt."""


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One compiled expression."""

    source: str
    program: cel.Program

    def holds(self, attempt: Attempt) -> bool:
        """Whether it is true of the attempt; raises ConditionError when there is no answer."""
        try:
            # A context belongs to one thread, so each question makes its own.
            answer = self.program.execute(_context(attempt))
        except Exception as error:
            raise ConditionError(str(error).splitlines()[0][:200] if str(error) else "failed") from None
        if not isinstance(answer, bool):
            raise ConditionError("the answer is neither true nor false")
        return answer

    def failure(self, attempt: Attempt) -> Reason | None:
        """None when it holds, else why not."""
        try:
            return None if self.holds(attempt) else Reason.CONDITION_FALSE
        except ConditionError:
            return Reason.CONDITION_ERROR


@lru_cache(maxsize=4096)
def compile_condition(source: str) -> Condition:
    """Compile an expression; raises ValueError with words when it is malformed or names what does not exist."""
    if len(source) > MAX_SOURCE:
        raise ValueError(f"the condition is longer than {MAX_SOURCE} characters")
    try:
        program = cel.compile(source)
    except Exception as error:
        raise ValueError(f"the condition does not parse: {str(error).splitlines()[0]}") from None
    literals: list[str] = []
    bare = _STRING.sub(lambda match: _keep(literals, match[0]), source)
    bound = frozenset(match[1] for match in _LOOP.finditer(bare))
    if len(_LOOP.findall(bare)) > MAX_LOOPS:
        raise ValueError(f"the condition loops more than {MAX_LOOPS} times")
    _check_names("variable", frozenset(program.variables()) - bound, frozenset(VARIABLES))
    called = frozenset(name for name in program.functions() if re.fullmatch(r"[A-Za-z]\w*", name))
    _check_names("function", called, FUNCTIONS | _STANDARD)
    _check_fields(bare, literals, bound)
    _check_calls(bare, literals)
    return Condition(source, program)


def _keep(literals: list[str], text: str) -> str:
    literals.append(text[1:-1])
    return f"§{len(literals) - 1}§"


def _check_names(what: str, used: frozenset[str], known: frozenset[str]) -> None:
    for name in sorted(used - known):
        near = get_close_matches(name, known, 1)
        raise ValueError(f"unknown {what} {name!r}" + (f", did you mean {near[0]!r}" if near else ""))


def _check_fields(bare: str, literals: list[str], bound: frozenset[str]) -> None:
    for match in _FIELD.finditer(bare):
        variable, field = match[1], match[2] or literals[int(match[3])]
        if variable not in bound:
            _check_names(f"field of {variable}", frozenset({field}), VARIABLES[variable])


def _check_calls(bare: str, literals: list[str]) -> None:
    """Try the literal arguments of our own functions now, so that a typo is found when the role is saved."""
    for match in _CALL.finditer(bare):
        given = [literals[int(number)] for number in _LITERAL.findall(match[2])]
        if match[1] == "in_net" and given:
            _network(given[-1])
        if match[1] == "hours" and len(given) == 3:
            _hours(0.0, *given)
        if match[1] == "weekday" and len(given) == 1:
            _zone(given[0])


def _context(attempt: Attempt) -> cel.Context:
    functions: dict[str, Callable[..., Any]] = {
        "in_net": _in_net,
        "hours": partial(_hours, attempt.context.at),
        "weekday": partial(_weekday, attempt.context.at),
    }
    return cel.Context(_variables(attempt), functions)


def _variables(attempt: Attempt) -> dict[str, Any]:
    at = attempt.context.at
    now = datetime.fromtimestamp(at, UTC)
    subject, resource = attempt.subject, attempt.resource
    variables: dict[str, Any] = {
        "source": {"ip": attempt.context.address},
        "now": {"unix": int(at), "hour": now.hour, "minute": now.minute, "weekday": DAYS[now.weekday()]},
        "resource": {"kind": resource.kind, "name": resource.name, "labels": dict(resource.labels)},
        "action": attempt.action,
        "login": attempt.login,
    }
    if subject is not None:
        traits = {name: list(values) for name, values in subject.traits.items()}
        groups = sorted(subject.groups)
        variables["user"] = {"name": subject.name, "kind": subject.kind, "groups": groups, "traits": traits}
        variables["mfa"] = _mfa(attempt)
    return variables


def _mfa(attempt: Attempt) -> dict[str, Any]:
    """Without a second factor there is no `age`: a condition that asks for it is an error, hence no yes."""
    login = attempt.subject.login if attempt.subject else None
    if login is None or login.mfa_at is None:
        return {"kinds": []}
    return {"kinds": sorted(login.amr), "age": max(0, int(attempt.context.at - login.mfa_at))}


def _in_net(address: str, network: str) -> bool:
    peer = ipaddress.ip_address(address)
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    return peer in _network(network)


@lru_cache(maxsize=1024)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a network: {error}") from None


def _hours(at: float, begin: str, end: str, zone: str) -> bool:
    """Whether the local time lies in [begin, end); over midnight when `end` is the earlier."""
    first, last = _clock(begin), _clock(end)
    if first == last:
        raise ValueError(f"hours({begin!r}, {end!r}) is empty")
    local = datetime.fromtimestamp(at, _zone(zone)).time()
    return first <= local < last if first < last else local >= first or local < last


def _weekday(at: float, zone: str) -> str:
    return DAYS[datetime.fromtimestamp(at, _zone(zone)).weekday()]


@lru_cache(maxsize=256)
def _clock(text: str) -> time:
    if not re.fullmatch(r"[0-2]\d:[0-5]\d", text) or text > "23:59":
        raise ValueError(f"{text!r} is not a time of day such as 08:00")
    return time(int(text[:2]), int(text[3:]))


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone such as Europe/Berlin") from None
