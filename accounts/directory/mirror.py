"""Who is in which group, kept in memory, to know whom a change in the directory concerns. Pure.

What somebody may do is never decided on it: whoever is concerned is read anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Keys = frozenset[str]
"""What names somebody or a group as a member: DNs in one spelling, and `uid=NAME` of POSIX groups."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group's own key, its name, and what it names as members."""

    key: str
    name: str
    members: Keys


@dataclass(slots=True)
class Mirror:
    """People and groups by their id in the directory. Each change answers the subjects of those it concerns."""

    nested: bool = True
    _people: dict[str, tuple[str, Keys]] = field(default_factory=dict)
    _subjects: dict[str, str] = field(default_factory=dict)
    _groups: dict[str, Group] = field(default_factory=dict)
    _by_key: dict[str, str] = field(default_factory=dict)

    def person(self, id: str, subject: str, keys: Keys) -> set[str]:
        """Somebody is there, or has changed."""
        self._forget_person(id)
        self._people[id] = (subject, keys)
        self._subjects.update(dict.fromkeys(keys, subject))
        return {subject}

    def person_gone(self, id: str) -> set[str]:
        """Somebody is there no more."""
        subject = self._forget_person(id)
        return {subject} if subject else set()

    def group(self, id: str, group: Group) -> set[str]:
        """A group is there, or has changed: it concerns who came, who went, and all if it is called otherwise now."""
        before = self._groups.get(id)
        self._forget_group(id)
        self._groups[id], self._by_key[group.key] = group, id
        if before is None:
            return self._people_in(group.members)
        if (before.key, before.name) != (group.key, group.name):
            return self._people_in(before.members | group.members)
        return self._people_in(before.members ^ group.members)

    def group_gone(self, id: str) -> set[str]:
        """A group is there no more."""
        before = self._groups.get(id)
        concerned = self._people_in(before.members) if before else set()
        self._forget_group(id)
        return concerned

    def forget_people(self) -> None:
        """All people will be told again."""
        self._people.clear()
        self._subjects.clear()

    def forget_groups(self) -> None:
        """All groups will be told again."""
        self._groups.clear()
        self._by_key.clear()

    def _people_in(self, keys: Iterable[str]) -> set[str]:
        """The subjects that members stand for, through groups in groups, in circles too."""
        found, seen, todo = set(), set(), list(keys)
        while todo:
            key = todo.pop()
            if key in seen:
                continue
            seen.add(key)
            if key in self._subjects:
                found.add(self._subjects[key])
            elif self.nested and key in self._by_key:
                todo.extend(self._groups[self._by_key[key]].members)
        return found

    def _forget_person(self, id: str) -> str:
        subject, keys = self._people.pop(id, ("", frozenset()))
        for key in keys:
            if self._subjects.get(key) == subject:
                del self._subjects[key]
        return subject

    def _forget_group(self, id: str) -> None:
        before = self._groups.pop(id, None)
        if before is not None and self._by_key.get(before.key) == id:
            del self._by_key[before.key]
