"""The grants of one subject made ready to be asked: one bit for each, so that a criterion judges all of them at once.

Nothing here remembers an answer. A mask says which grants meet a criterion: `0b101` are the first and the third.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from broker.policy.grant import Grant
from broker.policy.pattern import Pattern, Selector
from broker.policy.terms import Terms, strictest

MOST_MERGED = 1024
"""Sets of terms a subject's grants remember the strictest of; more than ever meet in practice."""
EVERYTHING = Selector({}, anything=True)


class LabelIndex:
    """Label selectors turned round: for each label key, which grants accept which value."""

    __slots__ = ("_keys", "_selecting")

    def __init__(self, selectors: Sequence[Selector]) -> None:
        self._selecting = mask_of(selector.selects for selector in selectors)
        keys = sorted({key for selector in selectors for key in selector.keys})
        self._keys = tuple((key, *_accepting(key, selectors)) for key in keys)

    def matching(self, labels: Mapping[str, str]) -> int:
        """The grants whose selector accepts these labels; one that selects nothing never does."""
        mask = self._selecting
        for key, by_value, indifferent, patterned in self._keys:
            value = labels.get(key)
            accepting = indifferent
            if value is not None:
                accepting |= by_value.get(value, 0)
                for pattern, bits in patterned:
                    if mask & bits and pattern.matches(value):
                        accepting |= bits
            mask &= accepting
            if not mask:
                return 0
        return mask


def _accepting(key: str, selectors: Sequence[Selector]) -> tuple[dict[str, int], int, tuple[tuple[Pattern, int], ...]]:
    """For one key: the grants by literal value, those that do not ask for the key, and those by pattern."""
    by_value: dict[str, int] = {}
    by_pattern: dict[Pattern, int] = {}
    indifferent = 0
    for number, selector in enumerate(selectors):
        bit = 1 << number
        values = selector.keys.get(key)
        if values is None:
            indifferent |= bit
            continue
        for literal in values.literals:
            by_value[literal] = by_value.get(literal, 0) | bit
        for pattern in values.patterns:
            by_pattern[pattern] = by_pattern.get(pattern, 0) | bit
    return by_value, indifferent, tuple(by_pattern.items())


class GrantSet(Sequence[Grant]):
    """A subject's grants, ready to be asked. Make it once for a subject and ask it often."""

    __slots__ = (
        "actions",
        "all",
        "apps",
        "conditional",
        "denied_apps",
        "denying_apps",
        "denying_rest",
        "denying_servers",
        "grants",
        "logins",
        "merged",
        "methods",
        "pathed",
        "servers",
        "terms",
        "timed",
        "unique",
    )

    def __init__(self, grants: Iterable[Grant] = ()) -> None:
        self.grants = held = tuple(grants)
        allows = [grant.allow for grant in held]
        self.all = (1 << len(held)) - 1
        self.servers = LabelIndex([allow.servers for allow in allows])
        self.apps = LabelIndex([allow.apps for allow in allows])
        self.logins = _by_word(allow.logins for allow in allows)
        self.methods = _by_word(allow.methods for allow in allows)
        self.actions = _by_word(allow.actions for allow in allows)
        self.pathed = mask_of(bool(allow.paths) for allow in allows)
        self.conditional = mask_of(bool(allow.conditions) for allow in allows)
        self.timed = mask_of(grant.until is not None for grant in held)
        self.unique = len({grant.role for grant in held}) == len(held)
        self.terms = _by_terms(held)
        self.merged: dict[int, Terms] = {}
        denying = [(grant, grant.deny) for grant in held if grant.deny is not None]
        self.denying_servers = tuple(
            pair for pair in denying if pair[1].bare or pair[1].logins or pair[1].servers.selects
        )
        self.denying_apps = tuple(
            pair for pair in denying if pair[1].bare or pair[1].apps.selects or pair[1].paths or pair[1].methods
        )
        self.denied_apps = LabelIndex(
            [pair[1].apps if pair[1].apps.selects else EVERYTHING for pair in self.denying_apps]
        )
        self.denying_rest = tuple(pair for pair in denying if pair[1].bare or pair[1].actions)

    def __len__(self) -> int:
        return len(self.grants)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.grants[index]

    def __iter__(self) -> Iterator[Grant]:
        return iter(self.grants)

    def roles_of(self, grants: Sequence[Grant]) -> tuple[str, ...]:
        """The names of the roles of some of these grants, each once."""
        names = [grant.role for grant in grants]
        return tuple(names if self.unique else dict.fromkeys(names))

    def terms_of(self, mask: int) -> Terms:
        """The strictest terms of the grants of a mask. Which terms meet which is seen soon; they are merged once."""
        meeting = 0
        for bit, (holding, _) in enumerate(self.terms):
            if mask & holding:
                meeting |= 1 << bit
        merged = self.merged.get(meeting)
        if merged is None:
            merged = strictest([terms for bit, (_, terms) in enumerate(self.terms) if meeting >> bit & 1])
            if len(self.merged) < MOST_MERGED:
                self.merged[meeting] = merged
        return merged

    def of(self, mask: int) -> list[Grant]:
        """The grants of a mask, in order."""
        found = []
        while mask:
            low = mask & -mask
            found.append(self.grants[low.bit_length() - 1])
            mask ^= low
        return found


def _by_terms(grants: Sequence[Grant]) -> tuple[tuple[int, Terms], ...]:
    """The different terms there are, each with the mask of the grants that set them."""
    found: dict[Terms, int] = {}
    for number, grant in enumerate(grants):
        found[grant.terms] = found.get(grant.terms, 0) | 1 << number
    return tuple((mask, terms) for terms, mask in found.items())


def _by_word(words: Iterable[frozenset[str]]) -> dict[str, int]:
    """For each word, the grants that hold it."""
    found: dict[str, int] = {}
    for number, held in enumerate(words):
        for word in held:
            found[word] = found.get(word, 0) | 1 << number
    return found


def mask_of(answers: Iterable[bool]) -> int:
    """The mask of the grants answered with true."""
    return sum(1 << number for number, answer in enumerate(answers) if answer)


def ready(grants: Sequence[Grant]) -> GrantSet:
    """These grants as a set; what is one already stays as it is."""
    return grants if isinstance(grants, GrantSet) else GrantSet(grants)
