"""Who is disabled, deleted or locked is out of everything at once: each credential against each way (S10).

Real nginx, decision service, tunnel and web process. All that alice holds is made while she may; then she may not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from accounts import cookies
from accounts.models import Connector, LoginSession, User
from accounts.services import confirmations, sign_in
from accounts.services.cli_sessions import find_code, write_code
from accounts.services.invites import invite_user, open_invite
from accounts.services.users import user_named
from broker.audit import feed
from broker.audit.origin import Origin, system
from broker.errors import NotFound, PosternError
from broker.services.authorities import ensure_authorities
from broker.services.documents import delete_document
from broker.services.locks import create_lock
from broker.services.users import disable_user
from broker.tokens import digest, new_token
from tests.broker.cast import PUBLIC_KEY
from tests.broker.test_parity import POLICY
from tests.dpop import Key
from tests.real.nginx import Session, WebWorld, wait_for, world

__all__ = ["world"]
pytestmark = pytest.mark.real
PAGE = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
BY = system("tests")


@dataclass
class Holdings:
    """All that alice has in her hands."""

    world: WebWorld
    key: Key = field(default_factory=Key)

    def __post_init__(self) -> None:
        user = User.objects.get(username="alice")
        self.cookie = new_token("")
        self.browser = self.world.login("alice", token_hash=digest(self.cookie))
        self.token = new_token("ptn_cli_")
        said = {"kind": LoginSession.Kind.CLI, "key_thumbprint": self.key.thumbprint}
        self.cli = self.world.login("alice", token_hash=digest(self.token), **said)
        self.app = self.world.session("alice", login=self.browser)
        self.bearer = self.world.session("alice", bearer=True, login=self.cli)
        self.socket: ClientConnection = self.world.websocket(self.app).__enter__()
        self.origin = Origin("person", str(user.pk), "alice", "127.0.0.1")
        Connector.objects.get_or_create(kind="oidc", name="id", defaults={"document": {}})
        self.pending = sign_in.begin_vouched(self.origin, user, via="oidc:id", amr=("fed",), next="")
        self.link = invite_user(BY, user).url.rpartition("/")[2]
        self.code = write_code(
            self.origin,
            self.browser,
            client_id="postern-cli",
            redirect_uri="http://127.0.0.1:1/",
            code_challenge="c" * 43,
            key_thumbprint=self.key.thumbprint,
            device_name="laptop",
        )
        self.asking = confirmations.ask(self.origin, self.cli, "tests")

    def pages(self) -> Client:
        host = f"{self.world.env.host}:{self.world.port}"
        http = Client(headers={"host": host, "x-real-ip": "127.0.0.1"}, raise_request_exception=False)
        http.cookies[cookies.SESSION] = self.cookie
        return http

    def call(self, path: str, body: dict[str, str]) -> int:
        headers = {
            "Authorization": f"DPoP {self.token}",
            "DPoP": self.key.proof("POST", self.world.env.url + path, self.token),
            "Content-Type": "application/json",
        }
        return self.world.request("POST", path, headers, json.dumps(body).encode(), host=self.world.env.host).status


# --- each credential: does it open anything? --------------------------------------------------------------------------


def the_cookie(held: Holdings) -> bool:
    answer = held.pages().get(f"/launch/wiki?next=/&state={'a' * 64}", headers=PAGE)
    return answer.status_code == 302 and "/.postern/callback?code=" in answer.headers["Location"]


def the_cli_token(held: Holdings) -> bool:
    return held.call("/api/v1/app-tokens", {"app": "wiki"}) == 200


def a_new_certificate(held: Holdings) -> bool:
    body = {"server": "db-1", "login": "root", "public_key": PUBLIC_KEY}
    return held.call("/api/v1/certificates/access", body) == 200


def an_identity_certificate(held: Holdings) -> bool:
    return held.call("/api/v1/certificates/identity", {"public_key": PUBLIC_KEY}) == 200


def the_app_session(held: Holdings) -> bool:
    return held.world.request("GET", "/", session=held.app).status == 200


def the_app_token(held: Holdings) -> bool:
    return held.world.request("GET", "/", {"Authorization": f"Bearer {held.bearer.token}"}).status == 200


def a_websocket_that_is_open(held: Holdings) -> bool:
    try:
        held.socket.send("hello")
        return held.socket.recv(5) == "hello"
    except ConnectionClosed:
        return False


def another_websocket(held: Holdings) -> bool:
    try:
        with held.world.websocket(held.app):
            return True
    except InvalidStatus:
        return False


USES: list[Callable[[Holdings], bool]] = [
    the_cookie,
    the_cli_token,
    a_new_certificate,
    an_identity_certificate,
    the_app_session,
    the_app_token,
    a_websocket_that_is_open,
    another_websocket,
]


# --- what would become a session: is it still good? -------------------------------------------------------------------


def the_sign_in_under_way(held: Holdings) -> bool:
    return sign_in.find(held.pending) is not None


def the_invite(held: Holdings) -> bool:
    try:
        return bool(open_invite(held.link))
    except NotFound:
        return False


def the_code_for_a_cli(held: Holdings) -> bool:
    from django.db import transaction

    with transaction.atomic():
        return find_code(held.origin, held.code, "postern-cli") is not None


def the_confirmation(held: Holdings) -> bool:
    browser = LoginSession.objects.filter(pk=held.browser.pk).select_related("user").first()
    if browser is None:
        return False
    try:
        return confirmations.answer(held.origin, browser, held.asking.pk, held.asking.number)
    except PosternError:
        return False


WAYS_IN: list[Callable[[Holdings], bool]] = [
    the_sign_in_under_way,
    the_invite,
    the_code_for_a_cli,
    the_confirmation,
]


# --- the ways out -----------------------------------------------------------------------------------------------------


def disabled(world: WebWorld) -> None:
    disable_user(BY, world.administrator(), "alice", "left")


def deleted(world: WebWorld) -> None:
    delete_document(BY, world.administrator(), "user", "alice")


def locked(world: WebWorld) -> None:
    create_lock(BY, world.administrator(), "user", "alice", ttl=3600, reason="lost laptop")


@pytest.fixture
def held(world: WebWorld) -> Iterator[Holdings]:
    """alice with everything, in a world where it all works."""
    ensure_authorities()
    world.apply(POLICY.format(uri=world.echo.uri, of_role="", of_resource=""))
    lives = (world.authz._live, world.edge._live)
    wait_for(lambda: all(live.seq >= feed.newest() for live in lives), "the change did not arrive")
    holdings = Holdings(world)
    for door in USES:
        assert door(holdings), f"{door.__name__} opened nothing to begin with"
    for door in (the_sign_in_under_way, the_invite, the_code_for_a_cli):
        assert door(holdings), f"{door.__name__} was not good to begin with"
    yield holdings
    holdings.socket.close()


def still_open(held: Holdings, doors: list[Callable[[Holdings], bool]]) -> list[str]:
    return [door.__name__ for door in doors if door(held)]


@pytest.mark.parametrize("way", [disabled, deleted])
def test_who_is_disabled_or_deleted_holds_nothing(world: WebWorld, held: Holdings, way: Callable[..., None]) -> None:
    """S10, S12: cookie, CLI token, WebSocket, certificates, app session and token, and all that would become one."""
    way(world)
    wait_for(lambda: not the_app_session(held), "the app session goes on", 5)
    wait_for(lambda: not a_websocket_that_is_open(held), "the WebSocket goes on", 5)
    assert still_open(held, USES) == []
    assert still_open(held, WAYS_IN) == []


def test_who_is_locked_opens_nothing_with_whatever_they_sign_in_by(world: WebWorld, held: Holdings) -> None:
    """S10: a lock leaves sign-in as it is, so what comes of sign-in, invite, code or confirmation opens nothing."""
    locked(world)
    wait_for(lambda: not the_app_session(held), "the app session goes on", 5)
    wait_for(lambda: not a_websocket_that_is_open(held), "the WebSocket goes on", 5)
    assert still_open(held, USES) == []
    held.cookie = new_token("")
    world.login("alice", token_hash=digest(held.cookie))
    assert not the_cookie(held)
    held.token = new_token("ptn_cli_")
    said = {"kind": LoginSession.Kind.CLI, "key_thumbprint": held.key.thumbprint}
    world.login("alice", token_hash=digest(held.token), **said)
    assert still_open(held, [the_cli_token, a_new_certificate, an_identity_certificate]) == []


def test_bob_is_not_touched_by_what_happens_to_alice(world: WebWorld, held: Holdings) -> None:
    bob: Session = world.session("bob")
    before = world.request("GET", "/", session=bob).status
    disabled(world)
    wait_for(lambda: not the_app_session(held), "the app session goes on", 5)
    assert world.request("GET", "/", session=bob).status == before
    assert user_named("bob").is_active
