"""Connectors as lists and pages show them: how the other side is, and who came by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, QuerySet

from accounts import connectors
from accounts.models import Connector, Identity, LoginSession, Membership, Passkey, User
from accounts.oidc.flow import callback_url
from accounts.services.unlinking import SIGNS_IN
from broker.console.queries.users import NO_PASSWORD
from broker.documents import ConnectorSpec, LdapSpec, OidcSpec
from broker.errors import Invalid

COLUMNS = {"name": "name", "kind": "kind"}
KINDS = (("oidc", "OpenID Provider"), ("ldap", "directory"), ("scim", "provisioning client"))
KIND_WORDS = dict(KINDS)
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Health:
    """How the other side was when it was last asked: `state` as a badge, `words` for people.

    `at` is when that was; of a problem, when it began. `ok_at` is when it last answered well before that.
    """

    state: str
    words: str
    at: datetime | None = None
    ok_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A connector in the list."""

    row: Any
    kind: str
    spec: ConnectorSpec | None
    health: Health
    last: datetime | None

    @property
    def display(self) -> str:
        return self.spec.display if self.spec else ""


def found(text: str = "", kind: str = "") -> QuerySet[Connector]:
    """The connectors that match by name, with the number of people known by each."""
    rows = Connector.objects.annotate(people=Count("identities__user", distinct=True))
    if kind in KIND_WORDS:
        rows = rows.filter(kind=kind)
    return rows.filter(name__contains=text.lower()) if text else rows


def listed(rows: list[Connector]) -> list[Listed]:
    """The rows with what else the list says of them."""
    sources = [row.source for row in rows]
    came = LoginSession.objects.filter(via__in=sources).order_by().values_list("via").annotate(Max("created_at"))
    last = dict(came)
    return [Listed(row, KIND_WORDS[row.kind], spec_or_none(row), health_of(row), last.get(row.source)) for row in rows]


def spec_or_none(row: Connector) -> ConnectorSpec | None:
    """What its document says, None if it was damaged."""
    try:
        return connectors.spec_of(row)
    except Invalid:
        return None


def health_of(row: Connector) -> Health:
    """How the other side was, in words."""
    if spec_or_none(row) is None:
        return Health("error", "its document cannot be read: edit it, or apply it anew")
    if row.kind == Connector.Kind.SCIM:
        if row.token_hash is None:
            return Health("pending", "it has no token yet, so nothing can come by it")
        return Health("active", "its token was made", row.token_made_at)
    if row.problem:
        return Health("error", row.problem, row.failing_since, row.ok_at)
    if row.checked_at is None:
        return Health("pending", "it was not asked yet")
    return Health("active", "it answered well", row.checked_at)


def troubles() -> list[Connector]:
    """What is switched on and does not answer as it should."""
    return list(Connector.objects.filter(enabled=True).exclude(problem="")[:5])


def latest(row: Connector) -> list[Identity]:
    """Who was heard of last by this connector."""
    return list(row.identities.select_related("user").order_by("-last_seen_at", "-created_at")[:SHOWN])


def stranded(row: Connector) -> int:
    """How many active people have no other way in: no password or passkey of ours, no other connector."""
    people = User.objects.filter(identities__connector=row, disabled_at=None)
    people = people.filter(NO_PASSWORD)
    people = people.exclude(pk__in=Passkey.objects.filter(confirmed=True).values("user"))
    others = Identity.objects.exclude(connector=row).filter(connector__enabled=True, connector__kind__in=SIGNS_IN)
    return people.exclude(pk__in=others.values("user")).distinct().count()


def memberships(row: Connector) -> int:
    """How many times it put somebody into a group."""
    return Membership.objects.filter(source=row.source).count()


def addresses(row: Connector) -> list[tuple[str, str, str]]:
    """What is to be entered at the other side: (what it is called there, the address, when it is needed)."""
    url = settings.POSTERN.url
    if row.kind == Connector.Kind.OIDC:
        return [
            ("Redirect URI", callback_url(row.name), "where people come back to; the provider must know it exactly"),
            (
                "Back-channel logout URI",
                f"{url}/oidc/{row.name}/backchannel-logout",
                "so that a sign-out there ends what is open here",
            ),
            ("Post-logout redirect URI", f"{url}/sign-in", "where people come after they signed out there too"),
        ]
    if row.kind == Connector.Kind.SCIM:
        return [("SCIM base URL", f"{url}/scim/v2", "with the token below as a bearer token")]
    return []


def summary(spec: ConnectorSpec) -> list[tuple[str, str]]:
    """What it is set to, in the words of a page; what is as usual is left out."""
    rows: list[tuple[str, str]] = []
    match spec:
        case OidcSpec():
            factor = spec.second_factor
            said = [*(f"amr {v}" for v in factor.amr), *(f"acr {v}" for v in factor.acr)] if factor else []
            rows = [
                ("Issuer", spec.issuer),
                ("Client id", spec.client_id),
                ("Second factor", f"theirs counts if they say {' or '.join(said)}" if said else "ours is asked for"),
            ]
        case LdapSpec():
            rows = [
                ("Servers", ", ".join(spec.urls)),
                ("Kind", spec.schema),
                ("Asked as", spec.bind_dn or "nobody (anonymous)"),
                ("People under", spec.user_base),
                ("Groups under", spec.group_base or "the entry's own memberOf"),
                ("Changes", _FOLLOW[spec.follow]),
            ]
        case _:
            rows = [("Identities of", spec.identities_of or "none: it only provisions")]
            rows.append(("Groups it may keep", ", ".join(spec.groups) or "those it makes itself"))
            return rows
    return [*rows, ("Shown as", spec.display or spec.name), ("New people", creation_words(spec))]


_FOLLOW = {
    "auto": "seen at once where the directory can tell, else every minute",
    "syncrepl": "seen at once (syncrepl)",
    "poll": "seen every minute",
}


def creation_words(spec: OidcSpec | LdapSpec) -> str:
    """Whose account is made when they first come."""
    creation = spec.creation
    if creation is None:
        return "must be linked with a user first"
    kinds = [f"in {name}" for name in creation.groups] + [f"at {name}" for name in creation.email_domains]
    return f"get an account if they are {' or '.join(kinds)}" if kinds else "all get an account"
