"""A directory that can be asked: who goes by a name, is this their password, which groups are they in.

Searches go over connections that are kept, bound as the connector's own account; a password is tried on a connection of
its own. After a failure nobody waits for the directory for a while.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, TypeVar

import ldap
from ldap.dn import escape_dn_chars, str2dn
from ldap.filter import escape_filter_chars

from accounts.directory.attributes import texts, uuid_filter, uuid_of
from accounts.directory.connection import BROKEN, REFUSALS, Connection, bound, close, words
from accounts.directory.entry import Ambiguous, Down, Entry
from accounts.directory.groups import groups_of
from broker.documents.connector_spec import LdapSpec

REST = 10.0
"""Seconds without another try after a directory failed to answer."""

NOT_HERE = (ldap.NO_SUCH_OBJECT, ldap.INVALID_DN_SYNTAX, ldap.REFERRAL)
"""What asking for a DN that somebody typed may answer."""

LONGEST_NAME = 256
KEPT = 4
"""Connections kept open for searches."""

T = TypeVar("T")


class Directory:
    """One directory, as its connector says. Its methods may be called by several threads, and raise Down."""

    def __init__(self, spec: LdapSpec, password: str) -> None:
        self.spec = spec
        self._password = password
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._rests_until = 0.0
        self._problem = ""
        self._refused_in: deque[float] = deque(maxlen=15)

    def is_as(self, spec: LdapSpec, password: str) -> bool:
        """Whether it is still what its connector says."""
        return self.spec == spec and secrets.compare_digest(self._password.encode(), password.encode())

    @property
    def rests(self) -> bool:
        """Whether it failed a moment ago and is not asked now."""
        return time.monotonic() < self._rests_until

    def find(self, typed: str) -> Entry | None:
        """The one entry that goes by what was typed: a name, an address, or a DN. Raises Ambiguous."""
        name = typed.strip()
        if not _can_be_a_name(name):
            name = _nobody()  # the search takes as long
        return self._ask(lambda connection: self._find(connection, name))

    def read(self, uuid: str) -> Entry | None:
        """The entry that was known by this UUID, if it is still among the users."""
        return self._ask(lambda connection: self._by_uuid(connection, uuid))

    def shows_anybody(self) -> bool:
        """Whether there is a single user to be seen."""
        try:
            return bool(
                self._ask(lambda connection: self._search(connection, self.spec.user_base, self._anybody, ["1.1"]))
            )
        except Ambiguous:
            return True

    def is_disabled(self, entry: Entry) -> bool:
        """Whether the directory says that they may not come in."""
        if not self.spec.disabled_filter:
            return False
        filter = f"(&{uuid_filter(self.spec.uuid_attribute, entry.uuid)}{self.spec.disabled_filter})"
        return bool(self._ask(lambda connection: self._search(connection, self.spec.user_base, filter, ["1.1"])))

    def groups_of(self, entry: Entry) -> tuple[str, ...]:
        """The names of their groups."""
        return self._ask(lambda connection: groups_of(self.spec, connection, entry))

    def accepts(self, entry: Entry, password: str) -> bool:
        """Whether the password is theirs. An empty one never is, and is not sent."""
        if not password:
            return False
        began = time.monotonic()
        right = self._binds(entry.dn, password)
        if not right:
            self._refused_in.append(time.monotonic() - began)
        return right

    def decoy(self) -> None:
        """What a wrong password costs, for somebody who is not in it: a random one, for a DN that does not exist."""
        began = time.monotonic()
        dn = f"{self.spec.username_attribute or 'uid'}={escape_dn_chars(_nobody())},{self.spec.user_base}"
        self._binds(dn, secrets.token_urlsafe(16))
        # Some servers hash what was typed for those they know only.
        usual = median(self._refused_in) if self._refused_in else 0.0
        time.sleep(max(0.0, min(usual, self.spec.timeout) - (time.monotonic() - began)))

    def check(self) -> None:
        """Ask for something that is there. Raises Down with what is wrong."""
        for base in filter(None, (self.spec.user_base, self.spec.group_base)):
            self._ask(lambda connection, base=base: connection.search_ext_s(base, ldap.SCOPE_BASE, attrlist=["1.1"]))  # type: ignore[misc]

    def close(self) -> None:
        """End the connections that are kept."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            close(connection)

    def _binds(self, dn: str, password: str) -> bool:
        self._refuse_while_resting()
        try:
            close(bound(self.spec, dn, password))
        except REFUSALS:
            self._answered()
            return False
        except Down as error:
            raise self._failed(error.message) from None
        self._answered()
        return True

    def _find(self, connection: Connection, name: str) -> Entry | None:
        if _is_below(name, self.spec.user_base):
            found = self._search_at(connection, name)
        else:
            filter = self.spec.user_filter.replace("{name}", escape_filter_chars(name))
            found = self._search(connection, self.spec.user_base, filter, self._attributes)
        if len(found) > 1:
            raise Ambiguous("more than one entry goes by that name", "narrow the user filter of the connector")
        return self._entry(*found[0]) if found else None

    def _by_uuid(self, connection: Connection, uuid: str) -> Entry | None:
        filter = f"(&{self._anybody}{uuid_filter(self.spec.uuid_attribute, uuid)})"
        found = self._search(connection, self.spec.user_base, filter, self._attributes)
        return self._entry(*found[0]) if found else None

    def _search_at(self, connection: Connection, dn: str) -> list[Any]:
        try:
            return self._search(connection, dn, self._anybody, self._attributes, ldap.SCOPE_BASE)
        except NOT_HERE:
            return []

    @property
    def _anybody(self) -> str:
        """The filter that every user matches."""
        return self.spec.user_filter.replace("{name}", "*")

    @property
    def _attributes(self) -> list[str]:
        return ["*", "memberOf", self.spec.uuid_attribute]

    def _search(
        self,
        connection: Connection,
        base: str,
        filter: str,
        attributes: Sequence[str],
        scope: int = ldap.SCOPE_SUBTREE,
    ) -> list[Any]:
        """At most two entries; referrals are left where they are."""
        try:
            rows = connection.search_ext_s(
                base, scope, filter, list(attributes), timeout=self.spec.timeout, sizelimit=2
            )
        except ldap.SIZELIMIT_EXCEEDED:
            raise Ambiguous("more than one entry goes by that name") from None
        return [row for row in rows if row[0] is not None]

    def _entry(self, dn: str, raw: dict[str, list[bytes]]) -> Entry:
        uuid = uuid_of(raw, self.spec.uuid_attribute)
        if not uuid:
            raise Down(f"the entry {dn} shows no {self.spec.uuid_attribute}: may the bind account read it?")
        return Entry(dn, uuid, texts(raw))

    def _ask(self, question: Callable[[Connection], T]) -> T:
        """The answer to a question over a kept connection, or over a new one if that has been closed meanwhile."""
        self._refuse_while_resting()
        try:
            kept = self._take()
            if kept is not None:
                try:
                    return self._put_back_after(kept, question)
                except BROKEN:
                    pass
            return self._put_back_after(bound(self.spec, self.spec.bind_dn, self._password), question)
        except REFUSALS as error:
            self._answered()
            raise Down(self._what_was_refused(error)) from None
        except ldap.FILTER_ERROR:
            raise Down("a filter of this connector is malformed") from None
        except ldap.LDAPError as error:
            raise self._failed(words(error)) from None
        except Down as error:
            raise self._failed(error.message) from None

    def _what_was_refused(self, error: ldap.LDAPError) -> str:
        if isinstance(error, ldap.NO_SUCH_OBJECT):
            bases = " or ".join(filter(None, (self.spec.user_base, self.spec.group_base)))
            return f"{bases} is not there, or the bind account may not read it"
        return f"the directory refuses {self.spec.bind_dn or 'anonymous searches'}: {words(error)}"

    def _put_back_after(self, connection: Connection, question: Callable[[Connection], T]) -> T:
        try:
            answer = question(connection)
        except BaseException:
            close(connection)
            raise
        self._answered()
        with self._lock:
            if len(self._idle) < KEPT:
                self._idle.append(connection)
                return answer
        close(connection)
        return answer

    def _take(self) -> Connection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _refuse_while_resting(self) -> None:
        """After the rest one tries, and the others do not wait for how that goes. Raises Down."""
        with self._lock:
            if self.rests:
                raise Down(self._problem)
            if self._problem:
                self._rests_until = time.monotonic() + REST

    def _answered(self) -> None:
        with self._lock:
            self._problem, self._rests_until = "", 0.0

    def _failed(self, problem: str) -> Down:
        self._problem, self._rests_until = problem, time.monotonic() + REST
        self.close()
        return Down(problem)


def _nobody() -> str:
    return f"nobody-{secrets.token_hex(8)}"


def _can_be_a_name(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and name.isprintable()


def _is_below(name: str, base: str) -> bool:
    """Whether what was typed is a DN below the base."""
    if "=" not in name or not base:
        return False
    try:
        return _parts(name)[-len(_parts(base)) :] == _parts(base) != _parts(name)
    except ldap.DECODING_ERROR:
        return False


def _parts(dn: str) -> list[list[tuple[str, str]]]:
    return [sorted((name.lower(), value.lower()) for name, value, _ in part) for part in str2dn(dn)]
