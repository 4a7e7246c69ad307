"""Signing in, confirming and linking through an OpenID Provider, and trying one out: to the provider and back.

The browser is sent off by `begin_…` and comes back to `finish`. On the way it carries a state, good once, in the
browser that began and for what was begun. Nothing is held open while a provider is asked: no transaction, no lock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import connectors
from accounts.models import Connector, Identity, LoginSession, ProviderFlow, User
from accounts.oidc import flow
from accounts.oidc.discovery import provider_of
from accounts.oidc.errors import NotBelieved, ProviderError
from accounts.services import identities
from accounts.services.identities import Refused
from accounts.services.login_sessions import confirm_login_session
from accounts.services.oidc_flow import (
    BEGIN_AGAIN,
    FLOW_TTL,
    Answer,
    Purpose,
    Vouched,
    check_flow,
    is_its_own,
    noted,
    record_refused,
    take_flow,
    vouched_by,
)
from accounts.services.sign_in import FEDERATED, begin_vouched
from accounts.sessions import live
from broker.audit.connector_event import ConnectorTested
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents.connector_spec import OidcSpec
from broker.errors import Invalid, NotFound
from broker.tokens import digest, new_token


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and the cookie that tells it is the one that went."""

    url: str = field(repr=False)
    browser: str = field(repr=False)
    display: str


@dataclass(frozen=True, slots=True)
class SigningIn:
    """The first step is done: `token` is that of the sign-in, which may want more."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The second factor was given at the provider: the session's new token, and where the browser was going."""

    token: str = field(repr=False)
    next: str


@dataclass(frozen=True, slots=True)
class Linked:
    """The account there is the user's from now on."""

    display: str
    next: str


@dataclass(frozen=True, slots=True)
class Report:
    """How a test went: what came (`vouched`), what would have happened, or what went wrong (`problem`)."""

    connector: Connector
    would: str = ""
    vouched: Vouched | None = None
    problem: str = ""
    why: str = ""
    hint: str = ""


Result = SigningIn | Confirmed | Linked | Report


# To the provider


def begin_sign_in(origin: Origin, name: str, next: str, browser: str) -> Begun:
    """Send a browser off to sign in. Raises NotFound (unknown and disabled sound the same), ProviderFailed."""
    return _begin(_usable(name), Purpose.SIGN_IN, None, next, browser)


def begin_confirm(origin: Origin, name: str, session: LoginSession, next: str, browser: str) -> Begun:
    """Send a browser off to give the second factor there. Raises NotFound if that is no way for this session's user."""
    if name not in dict(confirming(session)):
        raise NotFound("this provider cannot confirm that it is you", "give your second factor here instead")
    return _begin(_usable(name), Purpose.CONFIRM, session, next, browser, anew=True)


def begin_link(origin: Origin, name: str, session: LoginSession, browser: str) -> Begun:
    """Send a browser off to connect the account there with the user signed in here. Raises NotFound, ProviderFailed."""
    return _begin(_usable(name), Purpose.LINK, session, "/account", browser)


def begin_test(origin: Origin, connector: Connector, login_session: LoginSession, browser: str = "") -> tuple[str, str]:
    """Try a connector, enabled or not: the address to go to, and the value of the cookie `cookies.PROVIDER`.

    The callback shows what came of it to the same browser and login session. Raises ProviderFailed.
    """
    begun = _begin(connector, Purpose.TEST, login_session, "", browser, ask_anew=True)
    return begun.url, begun.browser


def choices() -> list[tuple[str, str]]:
    """The providers that the sign-in page offers: (name, what it is called)."""
    return [(connector.name, spec.display or connector.name) for connector, spec in _readable(Connector.objects.all())]


def confirming(session: LoginSession) -> list[tuple[str, str]]:
    """The providers at which this session's user can give a second factor that counts here: (name, display)."""
    theirs = _readable(Connector.objects.filter(identities__user=session.user).distinct())
    return [(one.name, spec.display or one.name) for one, spec in theirs if spec.second_factor is not None]


def _readable(rows: QuerySet[Connector]) -> Iterator[tuple[Connector, OidcSpec]]:
    """The providers that are switched on. A damaged document must not close the pages that local sign-in is on."""
    for connector in rows.filter(kind=Connector.Kind.OIDC, enabled=True):
        with contextlib.suppress(Invalid):
            yield connector, connectors.oidc_spec(connector)


def _begin(
    connector: Connector,
    purpose: ProviderFlow.Purpose,
    session: LoginSession | None,
    next: str,
    browser: str,
    *,
    anew: bool = False,
    ask_anew: bool = False,
) -> Begun:
    spec = connectors.oidc_spec(connector)
    provider = noted(connector, lambda: provider_of(spec, anew=ask_anew))
    state, browser = new_token(""), browser or new_token("")
    ProviderFlow.objects.create(
        state_hash=digest(state),
        browser_hash=digest(browser),
        connector=connector,
        purpose=purpose,
        login_session=session,
        next=next,
        expires_at=timezone.now() + FLOW_TTL,
    )
    return Begun(flow.authorization_url(spec, provider, state, anew=anew), browser, spec.display or connector.name)


def _usable(name: str) -> Connector:
    connector = Connector.objects.filter(kind=Connector.Kind.OIDC, name=name, enabled=True).first()
    if connector is None:
        raise NotFound("there is no such way to sign in", "go back to the sign-in page")
    return connector


# And back


def finish(origin: Origin, name: str, answer: Answer, browser: str, session: LoginSession | None) -> Result:
    """What a browser comes back with. `session` is the login session it has now.

    Raises ProviderError or Refused, each with a stable name; the log has it. A test never raises them: it reports them.
    """
    connector = Connector.objects.filter(kind=Connector.Kind.OIDC, name=name).first()
    if connector is None:
        raise NotFound("there is no such way to sign in", "go back to the sign-in page")
    row = take_flow(origin, connector, answer)
    subject = ""
    try:
        check_flow(row, connector, browser, session)
        vouched = vouched_by(connector, row, answer)
        subject = vouched.arrival.subject
        return _ENDS[Purpose(row.purpose)](origin, row, vouched, digest(f"{answer.state}:{answer.code}"))
    except (ProviderError, Refused) as error:
        if row.purpose == Purpose.TEST and is_its_own(row, browser, session):
            return _reported(origin, Report(connector, problem=error.message, why=error.why, hint=error.hint))
        record_refused(origin, connector, error.why, subject)
        raise


# What it was for


def _sign_in(origin: Origin, row: ProviderFlow, vouched: Vouched, flow_hash: str) -> Result:
    connector = row.connector
    spec = connectors.oidc_spec(connector)
    identity = _arrive(_of_connector(origin, connector), vouched, spec)
    factor = vouched.factor
    token = begin_vouched(
        origin,
        identity.user,
        via=connector.source,
        amr=(FEDERATED, *factor.amr),
        next=row.next,
        mfa_at=factor.at if factor.counts else None,
        provider={
            "connector": str(connector.pk),
            "issuer": spec.issuer,
            "subject": str(vouched.id_claims["sub"]),
            "sid": vouched.sid,
            "flow_hash": flow_hash,
        },
        id_token=vouched.id_token if spec.logout else None,
    )
    return SigningIn(token)


def _arrive(origin: Origin, vouched: Vouched, spec: OidcSpec) -> Identity:
    try:
        return identities.arrive(origin, vouched.arrival, spec.creation)
    except IntegrityError:  # somebody new came twice at once: the other one made the account
        return identities.arrive(origin, vouched.arrival, spec.creation)


def _confirm(origin: Origin, row: ProviderFlow, vouched: Vouched, flow_hash: str) -> Result:
    arrival = vouched.arrival
    with transaction.atomic():
        session = _session_of(row)
        if not session.user.identities.filter(issuer=arrival.issuer, subject=arrival.subject).exists():
            raise Refused("other-account", "you signed in there to an account that is not yours here", "try again")
        if not vouched.factor.counts:
            raise Refused("no-second-factor", vouched.factor.words, "give your second factor here instead")
        token = confirm_login_session(origin, session, (*vouched.factor.amr, "mfa"), at=vouched.factor.at)
    return Confirmed(token, row.next)


def _link(origin: Origin, row: ProviderFlow, vouched: Vouched, flow_hash: str) -> Result:
    with transaction.atomic():
        session = _session_of(row)
        identity = identities.link(origin, session.user, vouched.arrival)
        identities.refresh(_of_connector(origin, row.connector), identity, vouched.arrival)
    spec = connectors.oidc_spec(row.connector)
    return Linked(spec.display or row.connector.name, row.next)


def _test(origin: Origin, row: ProviderFlow, vouched: Vouched, flow_hash: str) -> Result:
    """What would have happened, found out by doing it and undoing it."""
    connector = row.connector
    spec = connectors.oidc_spec(connector)
    before = Identity.objects.filter(issuer=vouched.arrival.issuer, subject=vouched.arrival.subject).exists()
    try:
        with transaction.atomic():
            identity = identities.arrive(_of_connector(origin, connector), vouched.arrival, spec.creation)
            would = f"sign in as {identity.user.username}" if before else f"create {identity.user.username} and sign in"
            transaction.set_rollback(True)
    except Refused as error:
        return _reported(origin, Report(connector, "", vouched, error.message, error.why, error.hint))
    return _reported(origin, Report(connector, would, vouched))


def _reported(origin: Origin, report: Report) -> Report:
    connector = report.connector
    with transaction.atomic():
        outcome = report.why or "ok"
        record(
            origin, ConnectorTested(id=str(connector.pk), label=connector.name, connector_kind="oidc", outcome=outcome)
        )
    return report


_ENDS: Mapping[ProviderFlow.Purpose, Callable[[Origin, ProviderFlow, Vouched, str], Result]] = {
    Purpose.SIGN_IN: _sign_in,
    Purpose.CONFIRM: _confirm,
    Purpose.LINK: _link,
    Purpose.TEST: _test,
}


def _session_of(row: ProviderFlow) -> LoginSession:
    """The login session that a flow belongs to (`check_flow` saw that it is this browser's), live now as it was before
    the provider was asked. Call it in a transaction: until that ends nobody ends the session.
    """
    session = row.login_session
    if session is not None:  # the user's row first, as whoever ends all of their sessions takes it
        list(User.objects.select_for_update().filter(pk=session.user_id).order_by().values_list("pk"))
        if live(timezone.now()).select_for_update(of=("self",)).filter(pk=session.pk).order_by().values_list("pk"):
            return session
    raise NotBelieved("no-session", "you are not signed in any more", BEGIN_AGAIN)


def _of_connector(origin: Origin, connector: Connector) -> Origin:
    """The origin of what a connector's word changes: groups, traits, new accounts."""
    return Origin("system", "", connector.source, origin.address, origin.request_id)
