"""The process that follows directories: changes there become changes here the moment they are told.

Which directories there are it learns from the feed. One that tells nothing (`follow: poll`, or no syncrepl) is read
anew by the worker every minute, as all of them are for safety's sake.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import DatabaseError, close_old_connections

from accounts import connectors
from accounts.models import Connector
from broker.audit import feed
from broker.audit.feed import FeedEvent
from broker.audit.origin import system
from broker.documents.connector_spec import LdapSpec
from broker.errors import Invalid
from broker.services.directory import reread_people

if TYPE_CHECKING:
    from accounts.directory.mirror import Group
    from accounts.directory.stream import Attributes, Stream

log = logging.getLogger(__name__)

ORIGIN = system("directory")


class Following:
    """One directory that is followed: its people and its groups, each over a connection and a thread of its own."""

    def __init__(self, connector: Connector, spec: LdapSpec) -> None:
        from accounts.directory.mirror import Mirror

        self.connector, self.spec, self.secret = connector, spec, connector.secret
        self._mirror = Mirror(nested=spec.nested)
        self._lock = threading.Lock()
        self._streams: list[Stream] = []

    def start(self) -> None:
        """Begin; everybody who has something open is read anew as soon as the directory has told everything."""
        self._streams = [self._people()]
        if self.spec.group_base:
            self._streams.append(self._groups())
        for stream in self._streams:
            stream.start()

    def stop(self) -> None:
        """End, and wait until nothing is written any more."""
        for stream in self._streams:
            stream.stop()
        for stream in self._streams:
            stream.join(timeout=10)

    def _people(self) -> Stream:
        from accounts.directory.attributes import uuid_of
        from accounts.directory.stream import dn_key

        def entry(id: str, dn: str, attributes: Attributes, live: bool) -> None:
            subject = uuid_of(attributes, self.spec.uuid_attribute) or id
            keys = frozenset([dn_key(dn), *_uids(attributes, "uid")])
            self._take_in(lambda: self._mirror.person(id, subject, keys), live)

        def gone(id: str, live: bool) -> None:
            self._take_in(lambda: self._mirror.person_gone(id), live)

        everybody = self.spec.user_filter.replace("{name}", "*")
        wanted = ("uid", self.spec.uuid_attribute)
        return self._stream("people", self.spec.user_base, everybody, wanted, self._mirror.forget_people, entry, gone)

    def _groups(self) -> Stream:
        def entry(id: str, dn: str, attributes: Attributes, live: bool) -> None:
            group = _group_of(self.spec, dn, attributes)
            self._take_in(lambda: self._mirror.group(id, group), live)

        def gone(id: str, live: bool) -> None:
            self._take_in(lambda: self._mirror.group_gone(id), live)

        wanted = ("member", "uniqueMember", "memberUid", self.spec.group_name_attribute)
        base, filter = self.spec.group_base, self.spec.group_filter
        return self._stream("groups", base, filter, wanted, self._mirror.forget_groups, entry, gone)

    def _stream(
        self,
        name: str,
        base: str,
        filter: str,
        attributes: tuple[str, ...],
        forget: Callable[[], None],
        entry: Callable[[str, str, Attributes, bool], None],
        gone: Callable[[str, bool], None],
    ) -> Stream:
        from accounts.directory.stream import Listener, Stream

        def begin() -> None:
            with self._lock:
                forget()

        listener = Listener(name, base, filter, attributes, begin, entry, gone, self._complete, self._problem)
        return Stream(self.spec, self.secret, listener)

    def _take_in(self, change: Callable[[], set[str]], live: bool) -> None:
        with self._lock:
            concerned = change()
        if live and concerned:
            self._reread(concerned)

    def _complete(self) -> None:
        log.info("directory %s: all told, reading everybody anew who has something open", self.spec.name)
        self._reread(None)

    def _reread(self, subjects: set[str] | None) -> None:
        close_old_connections()
        reread_people(ORIGIN, self.connector, subjects)

    def _problem(self, words: str) -> None:
        close_old_connections()
        connectors.note_problem(self.connector, words)


def _group_of(spec: LdapSpec, dn: str, attributes: Attributes) -> Group:
    from accounts.directory.attributes import texts
    from accounts.directory.mirror import Group
    from accounts.directory.stream import dn_key

    told = {name.lower(): values for name, values in texts(attributes).items()}
    members = {dn_key(member) for name in ("member", "uniquemember") for member in told.get(name, ())}
    names = told.get(spec.group_name_attribute.lower(), ())
    return Group(dn_key(dn), names[0] if names else "", frozenset([*members, *_uids(attributes, "memberUid")]))


def _uids(attributes: Attributes, wanted: str) -> list[str]:
    values = next((values for name, values in attributes.items() if name.lower() == wanted.lower()), ())
    return [f"uid={value.decode('utf-8', 'replace').lower()}" for value in values]


class DirectoryProcess:
    """Follows every directory that is switched on, and no other."""

    def __init__(self) -> None:
        self._following: dict[UUID, Following] = {}
        self._feed = feed.Follower(feed.newest(), self._on_events)
        self._changed = threading.Event()

    def run(self, stopping: threading.Event) -> None:
        """Until told to stop."""
        self._feed.start()
        try:
            self._changed.set()
            while not stopping.is_set():
                if self._changed.wait(0.5):
                    self._changed.clear()
                    self._match()
        finally:
            self._feed.stop()
            for following in self._following.values():
                following.stop()

    def _on_events(self, events: Sequence[FeedEvent]) -> None:
        if any(touched.startswith("connector:") for event in events for touched in event.touches):
            self._changed.set()

    def _match(self) -> None:
        """Begin what is new, end what is gone, and begin anew what changed."""
        try:
            close_old_connections()
            wanted = {connector.pk: connector for connector in connectors.enabled(Connector.Kind.LDAP)}
        except DatabaseError:
            log.exception("which directories there are could not be read, trying again")
            self._changed.set()
            return
        for key, following in list(self._following.items()):
            connector = wanted.get(key)
            if connector is None or _spec_of(connector) != following.spec or connector.secret != following.secret:
                del self._following[key]
                following.stop()
        for key, connector in wanted.items():
            spec = _spec_of(connector)
            if key not in self._following and spec is not None and spec.follow != "poll":
                self._following[key] = Following(connector, spec)
                self._following[key].start()


def _spec_of(connector: Connector) -> LdapSpec | None:
    try:
        return connectors.ldap_spec(connector)
    except Invalid as error:
        connectors.note_problem(connector, error.message)
        return None
