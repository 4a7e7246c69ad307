"""The live state of one process: loading, following the feed, sessions, deciding."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from django.conf import settings

from accounts.models import Membership
from broker.audit import feed
from broker.documents import RoleSpec
from broker.live import rows
from broker.live.values import (
    LiveAccess,
    LiveApp,
    LiveBinding,
    LiveLogin,
    LiveServer,
    LiveUser,
    subject_value,
)
from broker.models import AccessSession, App, Role, Server
from broker.policy import (
    NO_LOCKS,
    Attempt,
    Decision,
    Explanation,
    Grant,
    GrantSet,
    Locks,
    Login,
    Subject,
    compile_role,
    decide,
    explain,
)

T = TypeVar("T")


class Fetch:
    """One fetch from the database under way; `overtaken` when the feed has touched such things meanwhile."""

    overtaken = False


class Live:
    """The state one process decides on."""

    def __init__(self) -> None:
        self.seq = 0
        self.authorities = 0  # counts their changes, for whoever keeps them
        self.users: dict[str, LiveUser] = {}
        self.roles: dict[str, RoleSpec] = {}
        self.bindings: dict[str, LiveBinding] = {}
        self.apps: dict[str, LiveApp] = {}
        self.servers: dict[str, LiveServer] = {}
        self.logins: dict[str, LiveLogin] = {}
        self.accesses: dict[str, LiveAccess] = {}
        self.locks: Locks = NO_LOCKS
        self.broken: frozenset[str] = frozenset()
        self.app_by_host: dict[str, LiveApp] = {}
        self._access_by_token: dict[str, LiveAccess] = {}
        self._bindings_of: dict[str, tuple[LiveBinding, ...]] = {}
        self._subjects: dict[str, Subject] = {}
        self._grants: dict[str, GrantSet] = {}
        self._fetching: dict[str, list[Fetch]] = {}
        self._login_by_token: dict[str, str] = {}
        self._lock = threading.RLock()
        self._catching_up = threading.Lock()

    # --- loading and following ----------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read everything but sessions. Events after this point are applied on top."""
        seq = feed.newest()
        users = {user.id: user for user in rows.users()}
        roles, broken = rows.roles(Role.objects.all())
        bindings = {binding.id: binding for binding in rows.bindings()}
        apps = {app.id: app for app in rows.apps(App.objects.all())}
        servers = {server.id: server for server in rows.servers(Server.objects.all())}
        locks = rows.locks()
        with self._lock:
            self.users, self.roles, self.bindings, self.broken = users, roles, bindings, broken
            self.apps, self.servers, self.locks = apps, servers, locks
            self.logins, self.accesses, self._access_by_token = {}, {}, {}
            self._index()
            self.seq = seq

    def follow(self, on_change: Callable[[Sequence[feed.FeedEvent]], None] | None = None) -> feed.Follower:
        """Start a thread that keeps this state true, and calls `on_change` after each batch."""

        def on_events(events: Sequence[feed.FeedEvent]) -> None:
            with self._catching_up:
                self.apply([event for event in events if event.seq > self.seq])
            if on_change:
                on_change(events)

        follower = feed.Follower(self.seq, on_events)
        follower.start()
        return follower

    def catch_up(self) -> None:
        """Apply what the log holds beyond our state: one indexed query when there is nothing."""
        with self._catching_up:
            while True:
                events = feed.since(self.seq)
                self.apply(events)
                if len(events) < feed.BATCH:
                    return

    def fork(self) -> Live:
        """A state of its own that begins as this one: to see, in a transaction, what an uncommitted change would do."""
        other = Live()
        with self._lock:
            other.seq, other.locks, other.broken = self.seq, self.locks, self.broken
            other.users, other.roles, other.bindings = dict(self.users), dict(self.roles), dict(self.bindings)
            other.apps, other.servers = dict(self.apps), dict(self.servers)
            other.logins, other._subjects, other._grants = dict(self.logins), dict(self._subjects), dict(self._grants)
            other.app_by_host, other._bindings_of = dict(self.app_by_host), dict(self._bindings_of)
        return other

    def apply(self, events: Sequence[feed.FeedEvent]) -> None:
        """Read anew what these events touch."""
        touched: dict[str, set[str]] = {}
        for event in events:
            for touch in event.touches:
                kind, _, ident = touch.partition(":")
                touched.setdefault(kind, set()).add(ident)
        for kind, idents in touched.items():
            reload = _RELOADS.get(kind)
            if reload:
                reload(self, idents)
        if events:
            self.seq = events[-1].seq

    def _index(self) -> None:
        """Rebuild what is derived from bindings and apps, and forget what was computed from them."""
        of: dict[str, list[LiveBinding]] = {}
        for binding in self.bindings.values():
            of.setdefault(binding.user_id or binding.group_id, []).append(binding)
        self._bindings_of = {key: tuple(found) for key, found in of.items()}
        self.app_by_host = {app.host: app for app in self.apps.values()}
        self._subjects = {}
        self._grants = {}

    def _reload_users(self, idents: set[str]) -> None:
        found = {user.id: user for user in rows.users(idents)}
        with self._lock:
            self.users = {**{k: v for k, v in self.users.items() if k not in idents}, **found}
            self._grants = {k: v for k, v in self._grants.items() if k not in idents}
            self._subjects = {}

    def _reload_groups(self, idents: set[str]) -> None:
        members = {user.id for user in self.users.values() if not idents.isdisjoint(user.groups)}
        members |= {str(pk) for pk in Membership.objects.filter(group_id__in=idents).values_list("user_id", flat=True)}
        self._reload_users(members)
        self._reload_bindings(set())

    def _reload_roles(self, idents: set[str]) -> None:
        found, broken = rows.roles(Role.objects.filter(pk__in=idents))
        bindings = {binding.id: binding for binding in rows.bindings()}
        with self._lock:
            self.roles = {**{k: v for k, v in self.roles.items() if k not in idents}, **found}
            self.broken = (self.broken - idents) | broken
            self.bindings = bindings
            self._index()

    def _reload_bindings(self, idents: set[str]) -> None:
        bindings = {binding.id: binding for binding in rows.bindings()}
        with self._lock:
            self.bindings = bindings
            self._index()

    def _reload_apps(self, idents: set[str]) -> None:
        found = {app.id: app for app in rows.apps(App.objects.filter(pk__in=idents))}
        with self._lock:
            self.apps = {**{k: v for k, v in self.apps.items() if k not in idents}, **found}
            self.app_by_host = {app.host: app for app in self.apps.values()}

    def _reload_servers(self, idents: set[str]) -> None:
        found = {server.id: server for server in rows.servers(Server.objects.filter(pk__in=idents))}
        with self._lock:
            self.servers = {**{k: v for k, v in self.servers.items() if k not in idents}, **found}

    def _reload_authorities(self, idents: set[str]) -> None:
        self.authorities += 1

    def _reload_locks(self, idents: set[str]) -> None:
        self.locks = rows.locks()

    def _reload_logins(self, idents: set[str]) -> None:
        self._overtake("login:")
        known = {ident for ident in idents if ident in self.logins}
        found = {login.id: login for login in rows.logins(known)} if known else {}
        with self._lock:
            for ident in known:
                self._subjects.pop(ident, None)
                if ident in found:
                    self.logins[ident] = found[ident]
                else:
                    self.logins.pop(ident, None)

    def _reload_accesses(self, idents: set[str]) -> None:
        with self._lock:
            for ident in idents:
                old = self.accesses.pop(ident, None)
                if old:
                    self._access_by_token.pop(old.token_hash, None)
        self._overtake("access:")

    def _overtake(self, prefix: str) -> None:
        """Tell the fetches under way that what they bring may be old."""
        with self._lock:
            for key, fetches in self._fetching.items():
                if key.startswith(prefix):
                    for fetch in fetches:
                        fetch.overtaken = True

    # --- sessions -----------------------------------------------------------------------------------------------------

    def peek_access(self, token_hash: str) -> LiveAccess | None:
        """The access session with that credential, if it is in memory."""
        return self._access_by_token.get(token_hash)

    def peek_login(self, ident: str, at: float) -> LiveLogin | None:
        """The login session, if it is in memory and not idle: another process may know that it was used meanwhile."""
        login = self.logins.get(ident)
        return login if login and (login.ended or at < login.idle_at) else None

    def fetch_access(self, token_hash: str) -> LiveAccess | None:
        """The access session with that credential from the database, remembered; None if there is none."""

        def query() -> LiveAccess | None:
            row = AccessSession.objects.filter(token_hash=token_hash).first()
            return rows.access(row) if row else None

        def keep(access: LiveAccess) -> None:
            self.accesses[access.id] = access
            self._access_by_token[access.token_hash] = access

        return self._fetch(f"access:{token_hash}", query, keep)

    def fetch_login(self, ident: str) -> LiveLogin | None:
        """The login session from the database, remembered; None if there is none."""

        def query() -> LiveLogin | None:
            return next(iter(rows.logins({ident})), None)

        return self._fetch(f"login:{ident}", query, self._keep_login)

    def login_of_token(self, token_hash: str, at: float) -> LiveLogin | None:
        """The login session that a token opens: from memory, else (unknown, or idle) from the database."""
        known = self._login_by_token.get(token_hash)
        login = self.peek_login(known, at) if known else None
        if login is not None:
            return login
        return self._fetch(f"login:{token_hash}", lambda: rows.login_of_token(token_hash), self._keep_login)

    def _keep_login(self, login: LiveLogin) -> None:
        self.logins[login.id] = login
        self._login_by_token[login.token_hash] = login.id
        self._subjects.pop(login.id, None)

    def _fetch(self, key: str, query: Callable[[], T | None], keep: Callable[[T], None]) -> T | None:
        """Query and keep; again if the feed touched it meanwhile, else an ended session could come back to life."""
        while True:
            fetch = Fetch()
            with self._lock:
                self._fetching.setdefault(key, []).append(fetch)
            try:
                found = query()
                with self._lock:
                    if fetch.overtaken:
                        continue
                    if found is not None:
                        keep(found)
                    return found
            finally:
                self._end(key, fetch)

    def _end(self, key: str, fetch: Fetch) -> None:
        with self._lock:
            self._fetching[key].remove(fetch)
            if not self._fetching[key]:
                del self._fetching[key]

    def touch_login(self, ident: str, at: float) -> bool:
        """Note that a login session was used; True if that should be written down (once a minute)."""
        login = self.logins.get(ident)
        idle = settings.POSTERN.session_idle
        if not login or login.ended or at + idle - login.idle_at < 60:
            return False
        with self._lock:
            if self.logins.get(ident) is login:
                self.logins[ident] = replace(login, idle_at=at + idle)
                self._subjects.pop(ident, None)
        return True

    def forget_old(self, at: float) -> None:
        """Drop sessions that ended or ran out, so that memory stays flat."""
        with self._lock:
            for access in [a for a in self.accesses.values() if a.ended or a.expires_at < at]:
                self.accesses.pop(access.id, None)
                self._access_by_token.pop(access.token_hash, None)
            for login in [x for x in self.logins.values() if x.ended or x.expires_at < at]:
                self.logins.pop(login.id, None)
                self._login_by_token.pop(login.token_hash, None)
                self._subjects.pop(login.id, None)

    # --- deciding -----------------------------------------------------------------------------------------------------

    def subject(self, login: LiveLogin) -> Subject | None:
        """Who acts under a login session. None when the user is gone or the session has ended."""
        found = self._subjects.get(login.id)
        if found is not None:
            return found
        with self._lock:
            user = self.users.get(login.user_id)
            if user is None or login.ended:
                return None
            session = Login(
                id=login.id,
                started_at=login.started_at,
                expires_at=min(login.expires_at, login.idle_at),
                amr=login.amr,
                mfa_at=login.mfa_at,
                mfa_spent_at=login.mfa_spent_at,
            )
            subject = subject_value(user, session)
            if self.logins.get(login.id) is login:
                self._subjects[login.id] = subject
            return subject

    def subject_without_session(self, user_id: str) -> Subject | None:
        """The user as `postern why` looks at them: no login session."""
        user = self.users.get(user_id)
        return subject_value(user, None) if user else None

    def grants(self, user_id: str) -> GrantSet:
        """The roles of a user with their traits filled in. Who holds a role that cannot be read is granted nothing."""
        found = self._grants.get(user_id)
        if found is not None:
            return found
        with self._lock:
            user = self.users.get(user_id)
            found = GrantSet(self._grants_of(user) if user else ())
            self._grants[user_id] = found
            return found

    def _grants_of(self, user: LiveUser) -> Iterable[Grant]:
        held = {b.role_id for h in (user.id, *user.groups) for b in self._bindings_of.get(h, ())}
        if held & self.broken:
            return  # its deny rules cannot be read, so nothing its holders have may count
        holders = [(user.id, f"user:{user.name}"), *((gid, f"group:{name}") for gid, name in user.groups.items())]
        for holder, via in holders:
            for binding in self._bindings_of.get(holder, ()):
                spec = self.roles.get(binding.role_id)
                if spec is not None:
                    yield compile_role(spec, user.traits, via=via, until=binding.until)

    def decide(self, attempt: Attempt) -> Decision:
        """The one question, on this state."""
        subject = attempt.subject
        return decide(attempt, self.grants(subject.id) if subject else (), self.locks)

    def explain(self, attempt: Attempt) -> Explanation:
        """The same question, with each role tried and what failed in it."""
        subject = attempt.subject
        return explain(attempt, self.grants(subject.id) if subject else (), self.locks)

    def server_named(self, name: str) -> LiveServer | None:
        """The server of that name."""
        return next((server for server in self.servers.values() if server.name == name), None)

    def app_named(self, name: str) -> LiveApp | None:
        """The app of that name."""
        return next((app for app in self.apps.values() if app.name == name), None)

    def user_named(self, name: str) -> LiveUser | None:
        """The user of that name."""
        return next((user for user in self.users.values() if user.name == name), None)


_RELOADS: dict[str, Callable[[Live, set[str]], None]] = {
    "user": Live._reload_users,
    "group": Live._reload_groups,
    "role": Live._reload_roles,
    "binding": Live._reload_bindings,
    "app": Live._reload_apps,
    "server": Live._reload_servers,
    "lock": Live._reload_locks,
    "login_session": Live._reload_logins,
    "access_session": Live._reload_accesses,
    "ca": Live._reload_authorities,
}
