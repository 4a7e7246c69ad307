"""Sign-in with a directory's password: whose name it is, and whether the directory vouches for them.

Each directory is asked the same for every name, one search and one bind, so that the time tells nothing. A password
that was typed goes to the one directory that keeps that person, and nowhere else: the others, and all of them for names
that are local or nobody's, get a random one for a DN that does not exist.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from accounts import connectors
from accounts.authenticators import password as local_password
from accounts.directory.entry import Ambiguous, Entry
from accounts.directory.known import directory_of
from accounts.models import Connector, Identity, User
from accounts.names import name_key
from accounts.services.directory_arrival import arrival_of, read_then_write
from accounts.services.identities import Arrival, Refused, arrive
from broker.audit.connector_event import ProviderSignInRefused
from broker.audit.event import Event
from broker.audit.origin import Origin
from broker.errors import Conflict, Invalid, Unavailable
from broker.policy.claims import first, flatten

if TYPE_CHECKING:
    from accounts.directory.directory import Directory

log = logging.getLogger(__name__)

WRONG = "name or password is wrong"
WRONG_WHILE_DOWN = "name or password is wrong; or a directory, which does not answer at the moment, keeps your account"


@dataclass(slots=True)
class Asked:
    """Whom a typed name means. `user` None: nobody known here. `keeper` is the directory whose word counts, if any.

    `others` are the directories that have nothing to do with them. `key` is the name under which guesses are counted.
    """

    user: User | None
    key: str
    keeper: Connector | None = None
    directory: Directory | None = None
    entry: Entry | None = None
    others: list[Directory] = field(default_factory=list)
    refusals: list[Event] = field(default_factory=list)
    down: bool = False

    @property
    def words(self) -> str:
        """What whoever is refused hears: the same for all names."""
        return WRONG_WHILE_DOWN if self.down else WRONG

    def refused(self, connector: Connector, why: str, entry: Entry | None = None) -> None:
        """Note for the log why a directory did not let them in."""
        about: dict[str, Any] = {"id": str(connector.pk), "label": connector.name, "connector_kind": connector.kind}
        self.refusals.append(ProviderSignInRefused(**about, why=why, subject=entry.uuid if entry else ""))


def look_up(typed: str) -> Asked:
    """Whose name was typed, in any spelling that this installation or one of its directories knows."""
    user = User.objects.by_name(typed)
    asked = Asked(user, user.username if user else typed)
    all_of_them = connectors.enabled(Connector.Kind.LDAP)
    identity = _identity_of(user, all_of_them)
    found: list[tuple[Connector, Directory, Entry]] = []
    for connector in all_of_them:
        asks_for = typed if user is None else ""
        mine = identity if identity is not None and identity.connector_id == connector.pk else None
        if mine is not None:
            asked.keeper = connector
        try:
            directory = directory_of(connector)
            entry = directory.read(mine.subject) if mine else directory.find(asks_for)
        except Ambiguous:
            asked.refused(connector, "ambiguous-name")
        except (Unavailable, Invalid) as error:
            connectors.note_problem(connector, error.message)
            asked.refused(connector, "directory-down")
            asked.down = True
        else:
            connectors.note_ok(connector)
            if entry is None:
                asked.others.append(directory)
                if mine is not None:
                    asked.refused(connector, "gone-there")
            else:
                found.append((connector, directory, entry))
    _choose(asked, found)
    return asked


def _choose(asked: Asked, found: list[tuple[Connector, Directory, Entry]]) -> None:
    """One entry in all directories is somebody; several are nobody."""
    if len(found) != 1:
        asked.others += [directory for _, directory, _ in found]
        for connector, _, entry in found:
            asked.refused(connector, "ambiguous-name", entry)
        return
    asked.keeper, asked.directory, asked.entry = found[0]
    if asked.user is None:
        known = Identity.objects.filter(issuer=asked.keeper.source, subject=asked.entry.uuid).select_related("user")
        identity = known.first()
        asked.user = identity.user if identity else None
        asked.key = asked.user.username if asked.user else _name_to_be(asked.directory, asked.entry)
        if asked.user is not None and asked.user.has_usable_password():  # who has one here is asked for it here
            asked.others.append(asked.directory)
            asked.keeper = asked.directory = asked.entry = None


def _identity_of(user: User | None, directories: list[Connector]) -> Identity | None:
    """The directory's account of somebody who has no password here."""
    if user is None or user.has_usable_password() or not directories:
        return None
    return Identity.objects.filter(user=user, connector__in=directories).order_by("created_at").first()


def _name_to_be(directory: Directory, entry: Entry) -> str:
    """The name that somebody who has not been here will have: guesses count from the first."""
    claims = flatten({name: list(values) for name, values in entry.attributes.items()})
    return name_key(first(directory.spec.mapping.username, claims)) or f"ldap:{directory.spec.name}:{entry.uuid}"


def prove(origin: Origin, asked: Asked, typed: str) -> Identity | None:
    """The identity that a directory vouches for by this password; if none does, `asked.refusals` says why."""
    for other in asked.others:
        _decoy(other)
    if asked.keeper is None or asked.directory is None or asked.entry is None:
        return None
    return _vouched(origin, asked, asked.keeper, asked.directory, asked.entry, typed)


def is_right(origin: Origin, asked: Asked, typed: str) -> bool:
    """Whether the password is that of somebody whom we know: kept here, or by the directory they are in."""
    right = local_password.is_right(asked.user, typed)
    return prove(origin, asked, typed) is not None or right


def _vouched(
    origin: Origin, asked: Asked, connector: Connector, directory: Directory, entry: Entry, typed: str
) -> Identity | None:
    try:
        if _accepts(directory, entry, typed):
            return _bring_in(origin, connector, directory, entry)
        asked.refused(connector, "wrong-password", entry)
    except Unavailable as error:
        connectors.note_problem(connector, error.message)
        asked.refused(connector, "directory-down", entry)
    except Refused as error:
        asked.refused(connector, error.why, entry)
    except Conflict as error:
        log.warning("%s: %s", connector.source, error.message)
        asked.refused(connector, "overtaken", entry)
    return None


def _accepts(directory: Directory, entry: Entry, typed: str) -> bool:
    if _is_sendable(typed):
        return directory.accepts(entry, typed)
    directory.decoy()
    return False


def _bring_in(origin: Origin, connector: Connector, directory: Directory, entry: Entry) -> Identity:
    """Their user, brought to what the directory says now, which is read after the password was found to be right."""

    def read() -> Arrival:
        fresh = directory.read(entry.uuid)
        if fresh is None:
            raise Refused("gone-there", "the entry has gone meanwhile")
        if directory.is_disabled(fresh):
            raise Refused("disabled-there", "the directory has disabled the entry")
        return arrival_of(connector, directory, fresh)

    creation = directory.spec.creation
    return read_then_write(connector.source, entry.uuid, read, lambda arrival: arrive(origin, arrival, creation))[1]


def _decoy(directory: Directory) -> None:
    """Spend the time of a bind. A directory that rests is left alone: nobody who is not in it waits for it."""
    try:
        if not directory.rests:
            directory.decoy()
    except Unavailable as error:
        log.info("directory %s: %s", directory.spec.name, error.message)


def _is_sendable(typed: str) -> bool:
    try:
        typed.encode()
    except UnicodeEncodeError:
        return False
    return 0 < len(typed) <= local_password.LONGEST
