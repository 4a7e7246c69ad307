"""Signing out there and here: forged logout tokens first, then what must end, and what must not."""

from __future__ import annotations

import html
import re
import time
from typing import Any

import pytest
from django.test import Client

from accounts.models import Connector, LoginSession, OneUse, ProviderSession, SignIn
from accounts.oidc import discovery, keys
from accounts.services import login_sessions
from accounts.services.login_sessions import expire_sessions
from broker.models import AuditEvent
from broker.tokens import new_token
from tests.accounts.oidc.conftest import ConnectorMaker, Traveller, parameters
from tests.accounts.oidc.provider import KEY, OTHER_KEY, HostileProvider
from tests.conftest import TESTS, Clock, new_client

pytestmark = pytest.mark.django_db
EVENT = "http://schemas.openid.net/event/backchannel-logout"
NOW = int(time.time())
TRUSTED = {"second_factor": {"amr": ["mfa"]}}


@pytest.fixture
def signed_in(connect: ConnectorMaker, traveller: Traveller) -> Traveller:
    connect(**TRUSTED)
    traveller.there_and_back(amr=["mfa"])
    assert traveller.is_in
    return traveller


def log_out(token: str, name: str = "corp") -> Any:
    """What the provider does, from its own machine."""
    return Client(SERVER_NAME="postern.localhost", SERVER_PORT="8080", enforce_csrf_checks=True).post(
        f"/oidc/{name}/backchannel-logout", {"logout_token": token}
    )


FORGED: dict[str, Any] = {
    "another key": lambda op: op.logout_token(OTHER_KEY),
    "none": lambda op: re.sub(r"^[^.]+", "eyJhbGciOiJub25lIn0", op.logout_token()),
    "another type": lambda op: op.logout_token(header={"typ": "at+jwt"}),
    "critical": lambda op: op.logout_token(header={"crit": ["b64"], "b64": True}),
    "another issuer": lambda op: op.logout_token(iss="https://evil.example"),
    "another client": lambda op: op.logout_token(aud="other"),
    "no audience": lambda op: op.logout_token(aud=None),
    "expired": lambda op: op.logout_token(exp=NOW - 3600, iat=NOW - 7200),
    "no exp": lambda op: op.logout_token(exp=None),
    "for ever": lambda op: op.logout_token(exp=NOW + 10**7),
    "no iat": lambda op: op.logout_token(iat=None),
    "from the future": lambda op: op.logout_token(iat=NOW + 3600),
    "no jti": lambda op: op.logout_token(jti=None),
    "jti a number": lambda op: op.logout_token(jti=1),
    "no events": lambda op: op.logout_token(events=None),
    "events a list": lambda op: op.logout_token(events=[EVENT]),
    "another event": lambda op: op.logout_token(events={"http://example.com": {}}),
    "an event that is no mapping": lambda op: op.logout_token(events={EVENT: True}),
    "a nonce": lambda op: op.logout_token(nonce="x"),
    "nobody": lambda op: op.logout_token(sub=None),
    "an empty sid": lambda op: op.logout_token(sub=None, sid=""),
    "a sid that is a mapping": lambda op: op.logout_token(sid={"$ne": 1}),
    "an ID token": lambda op: op.forge({**op.claims({"nonce": "x"}, "y")}),
    "nothing": lambda op: "",
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_logout_ends_nothing(op: HostileProvider, signed_in: Traveller, name: str) -> None:
    """L11, L12 for logout tokens."""
    answer = log_out(FORGED[name](op))
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert "no-store" in answer["Cache-Control"]
    assert signed_in.is_in
    assert not OneUse.objects.exists()


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "bob-at-corp"},
        {"sub": None, "sid": "session-2"},
        {"sub": "alice-at-corp", "sid": "session-2"},
        {"sub": "bob-at-corp", "sid": "session-1"},
    ],
)
def test_a_logout_of_somebody_else_ends_nothing(
    op: HostileProvider, signed_in: Traveller, claims: dict[str, Any]
) -> None:
    assert log_out(op.logout_token(**claims)).status_code == 200
    assert signed_in.is_in


def test_a_logout_at_another_connector_ends_nothing(
    op: HostileProvider, connect: ConnectorMaker, signed_in: Traveller
) -> None:
    connect("second")
    assert log_out(op.logout_token(), "second").status_code == 200
    assert log_out(op.logout_token(), "nobody").status_code == 400
    assert signed_in.is_in


@pytest.mark.parametrize(
    "claims",
    [{}, {"sid": "session-1"}, {"sub": None, "sid": "session-1"}, {"aud": ["postern"]}],
)
@pytest.mark.parametrize("kind", ["logout+jwt", "LOGOUT+JWT", "application/logout+jwt", "JWT", None])
def test_a_logout_ends_what_it_names(
    op: HostileProvider, signed_in: Traveller, claims: dict[str, Any], kind: str | None
) -> None:
    answer = log_out(op.logout_token(header={"typ": kind}, **claims))
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert "no-store" in answer["Cache-Control"]
    assert not signed_in.is_in
    assert LoginSession.objects.get().ended_reason == "provider-logout"
    event = AuditEvent.objects.get(name="connector.logout")
    assert event.data["sessions"] == 1


def test_a_logout_ends_a_session_of_which_the_provider_did_not_say_the_sid(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller
) -> None:
    """`sid` is optional in ID tokens: it must not make a logout that names the person miss their session."""
    connect(**TRUSTED)
    traveller.there_and_back(amr=["mfa"], sid=None)
    assert traveller.is_in
    assert log_out(op.logout_token(sub="bob-at-corp", sid="session-1")).status_code == 200
    assert traveller.is_in
    assert log_out(op.logout_token(sid="session-1")).status_code == 200
    assert not traveller.is_in


def test_a_logout_comes_once(op: HostileProvider, signed_in: Traveller, clock: Clock) -> None:
    """The id of the token is remembered for as long as the token could be used, and no longer."""
    token = op.logout_token()
    assert log_out(token).status_code == 200
    signed_in.there_and_back(amr=["mfa"])
    assert log_out(token).status_code == 400
    assert signed_in.is_in
    assert OneUse.objects.count() == 1
    clock.advance(300)
    expire_sessions()
    assert not OneUse.objects.exists()
    assert log_out(token).status_code == 400


def test_the_cli_goes_with_the_browser(op: HostileProvider, signed_in: Traveller) -> None:
    """Also when the browser signed out before; a session that came in by password stays."""
    session = LoginSession.objects.get()
    cli, local = (_session_of(session, parent) for parent in (session, None))
    signed_in.browser.post("/sign-out")
    cli.refresh_from_db()
    assert cli.ended_at is None
    assert log_out(op.logout_token()).status_code == 200
    cli.refresh_from_db()
    local.refresh_from_db()
    assert (cli.ended_reason, local.ended_at) == ("provider-logout", None)


def _session_of(session: LoginSession, parent: LoginSession | None) -> LoginSession:
    made, _ = login_sessions.start(
        TESTS,
        session.user,
        token=new_token("ptn_cli_"),
        kind=LoginSession.Kind.CLI,
        amr=["pwd"],
        mfa_at=None,
        parent=parent,
    )
    return made


def test_a_sign_in_under_way_ends_as_well(op: HostileProvider, corp: Connector, traveller: Traveller) -> None:
    traveller.there_and_back()
    assert traveller.got_past_the_first_step
    log_out(op.logout_token(sub=None, sid="session-1"))
    assert not SignIn.objects.exists()
    assert not traveller.got_past_the_first_step


def test_without_a_sid_all_that_came_that_way_ends(op: HostileProvider, signed_in: Traveller) -> None:
    second = Traveller(op)
    second.there_and_back(amr=["mfa"], sid="session-2")
    log_out(op.logout_token(sub=None, sid="session-2"))
    assert (signed_in.is_in, second.is_in) == (True, False)
    second.there_and_back(amr=["mfa"], sid="session-2")
    log_out(op.logout_token())
    assert (signed_in.is_in, second.is_in) == (False, False)


def test_a_connector_that_is_switched_off_may_still_end_sessions(op: HostileProvider, signed_in: Traveller) -> None:
    Connector.objects.update(enabled=False)
    assert log_out(op.logout_token()).status_code == 200
    assert not signed_in.is_in


def test_a_provider_that_is_down_cannot_be_believed(op: HostileProvider, signed_in: Traveller) -> None:
    """Its keys are not known any more, so its word counts for nothing."""
    token = op.logout_token()
    op.stop()
    discovery.forget()
    keys.forget()
    assert log_out(token).status_code == 400
    assert signed_in.is_in


# --- from here --------------------------------------------------------------------------------------------------------


def test_signing_out_leads_on_to_the_provider(op: HostileProvider, signed_in: Traveller) -> None:
    token = ProviderSession.objects.get().id_token
    page = signed_in.browser.post("/sign-out")
    assert page.status_code == 200
    found = re.search(r'content="0; url=([^"]+)"', page.content.decode())
    assert found
    url = html.unescape(found[1])
    assert url.startswith(f"{op.issuer}/logout?")
    assert parameters(url) == {
        "id_token_hint": token,
        "client_id": "postern",
        "post_logout_redirect_uri": "http://postern.localhost:8080/sign-in",
    }
    assert page["Cache-Control"] == "no-store"
    assert not signed_in.is_in
    assert "You are signed out." in signed_in.browser.get("/sign-in").content.decode()


def test_a_hint_that_is_too_long_is_left_out(op: HostileProvider, signed_in: Traveller) -> None:
    there = ProviderSession.objects.get()
    there.id_token = "x" * 7000
    there.save()
    assert "id_token_hint" not in signed_in.browser.post("/sign-out").content.decode()


@pytest.mark.parametrize("why", ["no endpoint", "not wanted", "down", "local"])
def test_signing_out_here_needs_no_provider(
    op: HostileProvider, connect: ConnectorMaker, traveller: Traveller, why: str
) -> None:
    connect(**TRUSTED, **({"logout": False} if why == "not wanted" else {}))
    traveller.there_and_back(amr=["mfa"])
    if why == "not wanted":
        assert ProviderSession.objects.get().id_token == ""
    discovery.forget()
    match why:
        case "no endpoint":
            op.discovery = {"end_session_endpoint": None}
        case "down":
            op.stop()
        case "local":
            ProviderSession.objects.all().delete()
    assert traveller.browser.post("/sign-out")["Location"] == "/sign-in"
    assert not traveller.is_in


def test_nobody_is_led_anywhere(corp: Connector) -> None:
    assert new_client().post("/sign-out")["Location"] == "/sign-in"


def test_the_key_of_a_logout_token_is_found_as_any(op: HostileProvider, signed_in: Traveller) -> None:
    keys.forget()
    assert log_out(op.logout_token(KEY, header={"kid": None})).status_code == 200
    assert not signed_in.is_in
