"""Changes as a directory tells them: syncrepl, refresh and persist (RFC 4533), in a thread.

Each connection begins without a cookie and is told everything anew. That costs one pass after a connection is lost, and
is right also where the server was restored from a backup or forgot its log.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ldap
from ldap.dn import str2dn
from ldap.ldapobject import SimpleLDAPObject
from ldap.syncrepl import SyncreplConsumer

from accounts.directory.connection import REFUSALS, bound, close, words
from accounts.directory.entry import Down
from broker.documents.connector_spec import LdapSpec

log = logging.getLogger(__name__)

LOOK_UP_EVERY = 0.5
"""Seconds between two looks whether to stop; changes come at once."""

AGAIN_AFTER = (0.2, 1.0, 5.0, 15.0)
"""Seconds before each further try to connect."""

NOT_OFFERED_AGAIN = 600.0
_NOT_OFFERED = (ldap.UNAVAILABLE_CRITICAL_EXTENSION, ldap.PROTOCOL_ERROR, ldap.UNWILLING_TO_PERFORM)

Attributes = Mapping[str, Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Listener:
    """What to follow, and whom to tell: `entry` and `gone` with `live` false while everything is told anew."""

    name: str
    base: str
    filter: str
    attributes: tuple[str, ...]
    begin: Callable[[], None]
    entry: Callable[[str, str, Attributes, bool], None]
    gone: Callable[[str, bool], None]
    complete: Callable[[], None]
    problem: Callable[[str], None]


class _Consumer(SimpleLDAPObject, SyncreplConsumer):  # type: ignore[misc]
    """One connection that listens."""

    listener: Listener
    live = False

    def syncrepl_entry(self, dn: str, attrs: Attributes, uuid: str) -> None:
        self.listener.entry(uuid, dn, attrs, self.live)

    def syncrepl_delete(self, uuids: Sequence[str]) -> None:
        for uuid in uuids:
            self.listener.gone(uuid, self.live)

    def syncrepl_refreshdone(self) -> None:
        self.live = True
        self.listener.complete()


class Stream(threading.Thread):
    """Follows one search until stopped, over as many connections as it takes."""

    def __init__(self, spec: LdapSpec, password: str, listener: Listener) -> None:
        super().__init__(name=f"{spec.name}-{listener.name}", daemon=True)
        self._spec, self._password, self._listener = spec, password, listener
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """End the thread soon."""
        self._stop_asked.set()

    def run(self) -> None:
        """Listen; begin anew whenever it breaks."""
        failures = 0
        while not self._stop_asked.is_set():
            wait = AGAIN_AFTER[min(failures, len(AGAIN_AFTER) - 1)]
            failures += 1
            try:
                if self._listen():
                    failures = 0
            except _NOT_OFFERED as error:
                told = log.info if self._spec.follow == "auto" else log.warning
                told("directory %s does not offer syncrepl: %s", self._spec.name, words(error))
                wait = NOT_OFFERED_AGAIN
            except (ldap.LDAPError, Down) as error:
                self._listener.problem(words(error))
            except Exception:
                log.exception("directory %s: a change could not be taken in, reading all anew", self._spec.name)
            self._stop_asked.wait(wait)

    def _listen(self) -> bool:
        """True if the server had told everything before the connection ended."""
        try:
            connection: Any = bound(self._spec, self._spec.bind_dn, self._password, _Consumer)
        except REFUSALS as error:
            raise Down(f"the directory refuses {self._spec.bind_dn or 'anonymous searches'}: {words(error)}") from None
        connection.listener = self._listener
        try:
            self._listener.begin()
            search = connection.syncrepl_search(
                self._listener.base,
                ldap.SCOPE_SUBTREE,
                mode="refreshAndPersist",
                filterstr=self._listener.filter,
                attrlist=list(self._listener.attributes),
            )
            while not self._stop_asked.is_set():
                try:
                    if not connection.syncrepl_poll(search, timeout=LOOK_UP_EVERY):
                        break
                except ldap.TIMEOUT:
                    continue
        except (ldap.SERVER_DOWN, ldap.CONNECT_ERROR) as error:
            if not connection.live:
                raise
            log.info("directory %s: connection lost (%s), reading all anew", self._spec.name, words(error))
        finally:
            close(connection)
        return bool(connection.live)


def dn_key(dn: str) -> str:
    """One spelling of a DN, to compare by."""
    try:
        parts = str2dn(dn)
    except ldap.DECODING_ERROR:
        return dn.lower()
    return ",".join("+".join(sorted(f"{name}={value}".lower() for name, value, _ in part)) for part in parts)
