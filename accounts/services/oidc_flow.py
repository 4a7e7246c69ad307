"""What every way through an OpenID Provider shares: the flow that is used up, and what the provider vouches for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone

from accounts import connectors
from accounts.models import Connector, LoginSession, ProviderFlow, ProviderSession, SignIn
from accounts.names import group_name
from accounts.oidc import client, flow, keys, tokens
from accounts.oidc.claims import FactorVerdict, claims_needed, factor_verdict, is_verified, kept, lacks, together
from accounts.oidc.discovery import Provider, provider_of
from accounts.oidc.errors import NotBelieved, ProviderFailed
from accounts.services.identities import Arrival
from accounts.services.provider_logout import end_with_children
from broker.audit.connector_event import ProviderSignInRefused
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents.connector_spec import OidcSpec
from broker.policy.claims import flatten, map_claims
from broker.tokens import digest, same

FLOW_TTL = timedelta(minutes=10)
LONGEST_NAME, LONGEST_EMAIL = 200, 254
BEGIN_AGAIN = "begin again from the sign-in page"
Purpose = ProviderFlow.Purpose
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser brings back from a provider; absent parameters are empty."""

    state: str = field(repr=False)
    code: str = field(repr=False)
    iss: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a provider said about somebody, all of it checked."""

    arrival: Arrival
    id_claims: Mapping[str, Any] = field(repr=False)
    id_token: str = field(repr=False)
    factor: FactorVerdict
    asked_userinfo: bool

    @property
    def sid(self) -> str:
        """The session there, if it has a name that can be kept."""
        sid = self.id_claims.get("sid", "")
        return sid if isinstance(sid, str) and sid.isascii() and len(sid) <= tokens.LONGEST_SUBJECT else ""


def noted(connector: Connector, ask: Callable[[], T]) -> T:
    """What the provider answers; that it failed is noted with the connector."""
    try:
        return ask()
    except ProviderFailed as error:
        if error.why != "provider-busy":  # which says nothing about the provider
            connectors.note_problem(connector, error.message)
        raise


def take_flow(origin: Origin, connector: Connector, answer: Answer) -> ProviderFlow:
    """The flow, used up by whoever asks, whatever comes of it. What was used before ends what it made (RFC 6749)."""
    row = (
        ProviderFlow.objects.select_related("connector", "login_session__user")
        .filter(state_hash=digest(answer.state))
        .first()
    )
    if row is not None and ProviderFlow.objects.filter(pk=row.pk).delete()[0]:
        return row
    if answer.state and answer.code and _end_replayed(origin, connector, answer):
        record_refused(origin, connector, "used-twice", "")
        raise NotBelieved("used-twice", "this answer of the provider was used before", BEGIN_AGAIN)
    # Not in the log: anybody can send any number of these.
    raise NotBelieved("unknown-state", "this sign-in is over, or was begun elsewhere", BEGIN_AGAIN)


def _end_replayed(origin: Origin, connector: Connector, answer: Answer) -> bool:
    used = digest(f"{answer.state}:{answer.code}")
    made = ProviderSession.objects.filter(
        connector=connector, flow_hash=used, login_session__created_at__gt=timezone.now() - 3 * FLOW_TTL
    )
    with transaction.atomic():
        pending = SignIn.objects.filter(via=connector.source, state__provider__flow_hash=used).delete()[0]
        sessions = [row.login_session for row in made.select_related("login_session__user")]
        ended = end_with_children(sessions, "code-used-twice")
        if ended:
            record(origin, *ended)
    return bool(pending or sessions)


def check_flow(row: ProviderFlow, connector: Connector, browser: str, session: LoginSession | None) -> None:
    if row.connector_id != connector.pk:
        raise NotBelieved("other-provider", "the answer is from another provider than the one asked", BEGIN_AGAIN)
    if not is_its_own(row, browser, session):
        raise NotBelieved("other-browser", "this sign-in was begun in another browser", BEGIN_AGAIN)
    if row.expires_at <= timezone.now():
        raise NotBelieved("flow-over", "this took too long", BEGIN_AGAIN)
    if not connector.enabled and row.purpose != Purpose.TEST:
        raise NotBelieved("connector-disabled", "this way to sign in was closed", BEGIN_AGAIN)


def is_its_own(row: ProviderFlow, browser: str, session: LoginSession | None) -> bool:
    """Whether the browser that came back is the one that went, and still signed in as it was if it was."""
    same_session = row.login_session_id is None or (session is not None and session.pk == row.login_session_id)
    return bool(browser) and same(digest(browser), row.browser_hash) and same_session


def vouched_by(connector: Connector, row: ProviderFlow, answer: Answer) -> Vouched:
    spec = connectors.oidc_spec(connector)
    provider = noted(connector, lambda: provider_of(spec))
    _check_answer(provider, answer)
    made = flow.secrets_of(answer.state)
    got = noted(connector, lambda: client.exchange(spec, connector.secret, provider, answer.code, made.verifier))
    expected = tokens.Expected(
        issuer=spec.issuer,
        client_id=spec.client_id,
        nonce=made.nonce,
        access_token=got.access_token,
        now=int(timezone.now().timestamp()),
        not_before=int(row.created_at.timestamp()) if row.purpose == Purpose.CONFIRM else None,
    )
    find_key = _key_finder(connector, spec, provider)
    id_claims = tokens.id_token(got.id_token, find_key, expected)
    connectors.note_ok(connector)
    claims: dict[str, Any] = dict(id_claims)
    asked = bool(provider.userinfo_endpoint) and lacks(claims, claims_needed(spec))
    if asked:
        said = noted(connector, lambda: client.userinfo(spec, provider, got, id_claims["sub"]))
        claims = together(said, id_claims)
    return Vouched(_arrival(connector, spec, claims), id_claims, got.id_token, _factor(spec, id_claims), asked)


def _key_finder(connector: Connector, spec: OidcSpec, provider: Provider) -> tokens.KeyFinder:
    return lambda header: noted(connector, lambda: keys.key_for(spec, provider, header))


def _check_answer(provider: Provider, answer: Answer) -> None:
    """RFC 9207: who answered is who was asked; then whether it was a yes."""
    if answer.iss != provider.issuer and (answer.iss or provider.names_itself):
        raise NotBelieved("wrong-iss", "the answer is from another provider than the one asked", BEGIN_AGAIN)
    if answer.error:
        raise NotBelieved("provider-refused", _said_no(answer.error), BEGIN_AGAIN)
    if not answer.code:
        raise NotBelieved("no-code", "the provider sent you back without an answer", BEGIN_AGAIN)


def _said_no(error: str) -> str:
    match error:
        case "access_denied":
            return "you, or the provider, said no"
        case "login_required" | "interaction_required" | "consent_required" | "account_selection_required":
            return "the provider wants you to sign in there first"
        case "temporarily_unavailable" | "server_error":
            return "the provider has trouble of its own"
    word = "".join(c for c in error if c.isascii() and (c.isalnum() or c in "_-"))[:40]
    return f"the provider refused with {word or 'an error'}"


def _arrival(connector: Connector, spec: OidcSpec, claims: Mapping[str, Any]) -> Arrival:
    plain = kept(claims)
    outcome = map_claims(spec.mapping, flatten(plain), group_name)
    email = outcome.email if len(outcome.email) <= LONGEST_EMAIL else ""
    return Arrival(
        connector=connector,
        issuer=spec.issuer,
        subject=tokens.check_subject(claims.get(spec.subject_claim)),
        outcome=replace(outcome, full_name=outcome.full_name[:LONGEST_NAME], email=email),
        claims=plain,
        email_verified=is_verified(email, claims),
    )


def _factor(spec: OidcSpec, id_claims: Mapping[str, Any]) -> FactorVerdict:
    return factor_verdict(spec.second_factor, id_claims, timezone.now())


def record_refused(origin: Origin, connector: Connector, why: str, subject: str) -> None:
    about = {"id": str(connector.pk), "label": connector.name, "connector_kind": connector.kind}
    with transaction.atomic():
        record(origin, ProviderSignInRefused(**about, why=why, subject=subject))  # type: ignore[arg-type]
