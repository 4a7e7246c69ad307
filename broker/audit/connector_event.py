"""Events about where identities come from, and about login sessions beyond their start and end.

As in `broker.audit.event`: names and fields are the log's format, and no field may ever hold a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from broker.audit.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class _Connector(Event):
    kind: ClassVar[str] = "connector"
    connector_kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorCreated(_Connector):
    name: ClassVar[str] = "connector.created"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorUpdated(_Connector):
    name: ClassVar[str] = "connector.updated"
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorDeleted(_Connector):
    name: ClassVar[str] = "connector.deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorTokenMade(_Connector):
    """A SCIM client's token was made; an older one is dead."""

    name: ClassVar[str] = "connector.token.made"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorTokenRefused(_Connector):
    """Somebody came to the SCIM door with a token that opens nothing. `why`: unknown, disabled."""

    name: ClassVar[str] = "connector.token.refused"
    touching: ClassVar[bool] = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorFailed(_Connector):
    """The other side does not answer, or not as it should. Recorded when it begins, not each time."""

    name: ClassVar[str] = "connector.failed"
    touching: ClassVar[bool] = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorRecovered(_Connector):
    name: ClassVar[str] = "connector.recovered"
    touching: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorTested(_Connector):
    """An administrator tried a connector; nobody was signed in."""

    name: ClassVar[str] = "connector.tested"
    touching: ClassVar[bool] = False
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSignInRefused(_Connector):
    """Somebody came back from a provider, or from a directory's bind, and was not let in. `why` is a stable name."""

    name: ClassVar[str] = "connector.sign_in.refused"
    touching: ClassVar[bool] = False
    why: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLogout(_Connector):
    """A back-channel logout came; `sessions` is how many login sessions it ended."""

    name: ClassVar[str] = "connector.logout"
    touching: ClassVar[bool] = False
    subject: str = ""
    sessions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity(Event):
    kind: ClassVar[str] = "user"
    connector: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityLinked(_Identity):
    """An account at a connector became this user's. `id` and `label` are the user's."""

    name: ClassVar[str] = "user.identity.linked"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityUnlinked(_Identity):
    name: ClassVar[str] = "user.identity.unlinked"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChanged(_Identity):
    """The connector says other traits than before; groups have events of their own."""

    name: ClassVar[str] = "user.identity.changed"
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAdministratorOut(Event):
    """Nobody is left who can administer: a connector said that the last one has gone. `hint` says the way back."""

    name: ClassVar[str] = "user.last_administrator.out"
    kind: ClassVar[str] = "user"
    touching: ClassVar[bool] = False
    by: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSessionMoved(Event):
    """A login session was used from another address than before."""

    name: ClassVar[str] = "login_session.moved"
    kind: ClassVar[str] = "login_session"
    touching: ClassVar[bool] = False
    user_id: str = ""
    user_name: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSessionProofRefused(Event):
    """A CLI's good token came without a good proof of its key: somebody else may have it. Once a minute at most.

    `why`: missing, key, signature, token, replayed … Nobody is the actor: whoever sent it proved nothing.
    """

    name: ClassVar[str] = "login_session.proof_refused"
    kind: ClassVar[str] = "login_session"
    touching: ClassVar[bool] = False
    user_id: str = ""
    user_name: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationAsked(Event):
    """A CLI asked its person for a second factor in the browser."""

    name: ClassVar[str] = "login_session.confirmation.asked"
    kind: ClassVar[str] = "login_session"
    touching: ClassVar[bool] = False
    user_id: str = ""
    user_name: str = ""
    purpose: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationRefused(Event):
    """The person said that it was not they who asked."""

    name: ClassVar[str] = "login_session.confirmation.refused"
    kind: ClassVar[str] = "login_session"
    touching: ClassVar[bool] = False
    user_id: str = ""
    user_name: str = ""
