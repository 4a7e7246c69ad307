"""What I have open, and ending it: mine alone, and nothing more than was said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Connector, Identity, LoginSession, Membership, Notice, Passkey, User
from accounts.services.unlinking import unlink
from accounts.services.users import set_groups
from broker.errors import Conflict, NotFound
from broker.models import AccessSession, AuditEvent
from broker.services.my_sessions import end_my_use, list_my_sessions, words_for
from tests.conftest import TESTS, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)
IDENT = "00000000-0000-0000-0000-000000000000"


def opened(hangs_on: LoginSession, name: str, credential: str = "cookie", **fields: Any) -> AccessSession:
    now = timezone.now()
    said = {
        "protocol": "ssh" if credential == "certificate" else "app",
        "credential": credential,
        "login_session_id": hangs_on.pk,
        "user_id": hangs_on.user_id,
        "user_name": hangs_on.user.username,
        "resource_id": IDENT,
        "resource_name": name,
        "address": "203.0.113.9",
        "started_at": now,
        "last_used_at": now,
        "expires_at": now + timedelta(minutes=5),
    }
    return AccessSession.objects.create(**(said | fields))


def cli_of(parent: LoginSession) -> LoginSession:
    now = timezone.now()
    return LoginSession.objects.create(
        user=parent.user,
        kind=LoginSession.Kind.CLI,
        parent=parent,
        token_hash="c" * 64,
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(hours=1),
        amr=["pwd", "otp", "mfa"],
        device_name="laptop",
    )


def connected(person: Person, name: str = "id", kind: str = "oidc") -> Identity:
    document = {
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"issuer": f"https://{name}.example.com", "client_id": "x", "display": "The Provider"},
    }
    connector = Connector.objects.create(kind=kind, name=name, document=document)
    return Identity.objects.create(user=person.user, connector=connector, issuer=f"https://{name}", subject=person.name)


# --- what is listed ---------------------------------------------------------------------------------------------------


def test_only_mine_and_only_what_is_open(alice: Person, bob: Person) -> None:
    opened(bob.session, "bobs-app")
    opened(alice.session, "over", ended_at=timezone.now())
    opened(alice.session, "out", expires_at=timezone.now())
    opened(alice.session, "wiki")
    found = list_my_sessions(alice.user, alice.session)
    assert [use.name for session in found for use in session.uses] == ["wiki"]
    page = alice.client.get("/account").content.decode()
    assert "wiki" in page
    assert "bobs-app" not in page


def test_a_cli_stands_under_the_browser_that_let_it_in(alice: Person) -> None:
    _, second = alice.new_browser()
    cli = cli_of(alice.session)
    opened(cli, "db-1", "certificate", login="root")
    first, *rest = list_my_sessions(alice.user, alice.session)
    assert (first.id, first.current, [one.id for one in first.clis]) == (alice.session.pk, True, [cli.pk])
    assert [one.id for one in rest] == [second.pk]
    assert first.clis[0].uses[0].name == "root@db-1"
    LoginSession.objects.filter(pk=first.id).update(ended_at=timezone.now())
    assert {one.id for one in list_my_sessions(alice.user)} == {second.pk, cli.pk}, "it outlives the browser"


@pytest.mark.parametrize(
    ("via", "amr", "words"),
    [
        ("local", ["pwd", "otp", "mfa"], "password and authenticator app"),
        ("local", ["pwd", "rc", "mfa"], "password and recovery code"),
        ("local", ["swk", "mfa"], "passkey"),
        ("oidc:id", ["fed", "mfa"], "The Provider, with its second factor"),
        ("oidc:id", ["fed", "hwk", "mfa"], "The Provider and security key"),
        ("oidc:gone", ["fed", "otp"], "oidc:gone and authenticator app"),
        ("local", ["something-new"], "nothing known"),
    ],
)
def test_how_somebody_signed_in_is_said_plainly(via: str, amr: list[str], words: str) -> None:
    assert words_for(via, amr, {"oidc:id": "The Provider"}) == words


# --- ending -----------------------------------------------------------------------------------------------------------


def test_nobody_ends_anothers_use_and_it_sounds_like_none(alice: Person, bob: Person) -> None:
    use = opened(alice.session, "wiki")
    for ident in (use.pk, IDENT):
        assert bob.client.post(f"/account/uses/{ident}/end").status_code == 404
    with pytest.raises(NotFound):
        end_my_use(TESTS, bob.user, use.pk)
    use.refresh_from_db()
    assert use.ended_at is None


def test_ending_one_use_asks_first_and_leaves_the_rest(alice: Person) -> None:
    use, other = opened(alice.session, "wiki"), opened(alice.session, "grafana")
    asked = alice.client.get(f"/account/uses/{use.pk}/end").content.decode()
    assert "ends 1 session" in asked
    assert alice.client.post(f"/account/uses/{use.pk}/end")["Location"] == "/account"
    use.refresh_from_db()
    other.refresh_from_db()
    assert (use.ended_reason, other.ended_at) == ("revoked", None)
    event = AuditEvent.objects.get(name="app.session.ended")
    assert f"access_session:{use.pk}" in event.touches
    assert alice.client.get("/account").status_code == 200


def test_a_certificate_is_not_called_back(alice: Person) -> None:
    use = opened(alice.session, "db-1", "certificate", login="root")
    with pytest.raises(Conflict, match="cannot be called back"):
        end_my_use(TESTS, alice.user, use.pk)
    page = alice.client.get("/account").content.decode()
    assert "certificate runs out" in page
    assert f"/account/uses/{use.pk}/end" not in page


def test_each_ending_says_how_much_it_cuts(alice: Person) -> None:
    _, second = alice.new_browser()
    for name in ("wiki", "grafana"):
        opened(second, name)
    assert "ends 3 sessions" in alice.client.get(f"/account/sessions/{second.pk}/end").content.decode()
    everywhere = alice.client.get("/account/sign-out-everywhere").content.decode()
    assert "ends 4 sessions" in everywhere
    assert "all but this one: ends 3 sessions" in everywhere
    assert alice.client.post("/account/sign-out-everywhere", {"keep": "this"})["Location"] == "/account"
    assert [one.current for one in list_my_sessions(alice.user, alice.session)] == [True]


def test_a_page_of_mine_is_kept_nowhere(alice: Person) -> None:
    """S06."""
    for path in ("/account", "/account/notices", "/account/sign-out-everywhere"):
        assert alice.client.get(path)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/account/notices/seen", "/account/reset/refuse", f"/account/uses/{IDENT}/end"])
def test_no_foreign_page_does_it_for_me(alice: Person, path: str) -> None:
    strict = Client(SERVER_NAME="postern.localhost", SERVER_PORT="8080", enforce_csrf_checks=True)
    strict.cookies = alice.client.cookies
    assert strict.post(path).status_code == 403
    assert new_client().post(path)["Location"] == "/sign-in"


# --- accounts elsewhere -----------------------------------------------------------------------------------------------


def test_an_account_elsewhere_is_disconnected_with_what_it_gave(alice: Person, bob: Person) -> None:
    identity = connected(alice)
    set_groups(TESTS, alice.user, ["from-there"], source="oidc:id")
    _, by_it = alice.new_browser()
    LoginSession.objects.filter(pk=by_it.pk).update(via="oidc:id")
    assert bob.client.post(f"/account/identities/{identity.pk}/unlink")["Location"] == "/account"
    assert Identity.objects.filter(pk=identity.pk).exists(), "not bob's"
    page = alice.client.get("/account").content.decode()
    assert "The Provider" in page
    assert "ends 1 session" in alice.client.get(f"/account/identities/{identity.pk}/unlink").content.decode()
    assert alice.client.post(f"/account/identities/{identity.pk}/unlink")["Location"] == "/account"
    assert not Identity.objects.exists()
    assert set(Membership.objects.filter(user=alice.user).values_list("source", flat=True)) == {"local"}
    by_it.refresh_from_db()
    assert by_it.ended_reason == "identity-unlinked"
    assert Notice.objects.get(user=alice.user).kind == "identity-unlinked"
    assert AuditEvent.objects.filter(name="user.identity.unlinked").count() == 1


def test_the_only_way_in_is_not_taken_away(alice: Person) -> None:
    identity = connected(alice)
    User.objects.filter(pk=alice.user.pk).update(password="!")
    assert f"/account/identities/{identity.pk}/unlink" not in alice.client.get("/account").content.decode()
    alice.client.post(f"/account/identities/{identity.pk}/unlink")
    with pytest.raises(Conflict, match="the only way"):
        unlink(TESTS, alice.user, identity.pk)
    assert Identity.objects.exists()
    connected(alice, "other")
    unlink(TESTS, alice.user, identity.pk)


@pytest.mark.parametrize("kind", ["oidc", "ldap"])
def test_who_is_kept_elsewhere_does_not_leave_there_for_a_passkey(alice: Person, kind: str) -> None:
    """L28: afterwards the passkey alone would do, and nobody would hear that they have left there."""
    identity = connected(alice)
    Connector.objects.update(kind=kind)
    User.objects.filter(pk=alice.user.pk).update(password="!")
    about = {"credential_id": b"1", "credential_id_sha256": "1", "public_key": b"", "sign_count": 0}
    Passkey.objects.create(user=alice.user, name="key", confirmed=True, **about)
    with pytest.raises(Conflict, match="kept elsewhere"):
        unlink(TESTS, alice.user, identity.pk)
    assert f"/account/identities/{identity.pk}/unlink" not in alice.client.get("/account").content.decode()
    connected(alice, "other")
    if kind == "ldap":
        with pytest.raises(Conflict, match="kept elsewhere"):
            unlink(TESTS, alice.user, identity.pk)
    else:
        unlink(TESTS, alice.user, identity.pk)


def test_disconnecting_wants_a_second_factor_just_given(alice: Person, clock: Any) -> None:
    """M09."""
    identity = connected(alice)
    assert alice.client
    clock.advance(301)
    assert alice.client.post(f"/account/identities/{identity.pk}/unlink")["Location"].startswith("/account/confirm")
    assert Identity.objects.exists()
