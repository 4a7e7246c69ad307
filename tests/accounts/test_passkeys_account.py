"""Passkeys of one's own: adding, naming and removing them, and confirming with one."""

from __future__ import annotations

import pytest
from django.utils import timezone

from accounts import cookies
from accounts.authenticators import recovery, second_factor, totp
from accounts.models import LoginSession, Notice, Passkey, PasskeyChallenge, TotpDevice
from accounts.services.factors import remove_totp
from accounts.services.passkeys import MOST, remove
from broker.errors import Conflict
from broker.models import AuditEvent
from tests.accounts.soft_key import ORIGIN, SoftKey, options, registered
from tests.conftest import TESTS, Clock, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)
XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{9**9}}"
NOBODYS = "6f1c8f0e-0000-4000-8000-000000000000"
ADDING = "/account/passkeys/options"


@pytest.fixture
def key(alice: Person, clock: Clock) -> SoftKey:
    return registered(alice, "laptop")


def path_of(name: str = "laptop") -> str:
    return f"/account/passkeys/{Passkey.objects.get(name=name).pk}"


# --- what is not done -------------------------------------------------------------------------------------------------


def test_passkeys_are_added_and_removed_only_just_after_giving_a_factor(
    alice: Person, key: SoftKey, clock: Clock
) -> None:
    """M09: and what was asked for before does not count later without it."""
    made = SoftKey().create(options(alice.client, ADDING))
    clock.advance(301)
    asked = alice.client.post(ADDING, headers={"origin": ORIGIN})
    assert asked["Location"].startswith("/account/confirm?next=")
    assert alice.client.get("/account/passkeys/add")["Location"].startswith("/account/confirm?next=")
    sent = alice.client.post("/account/passkeys/add", {"credential": made})
    assert sent["Location"] == "/account/confirm?next=/account/passkeys/add"
    for method in (alice.client.get, alice.client.post):
        assert method(f"{path_of()}/remove")["Location"].startswith("/account/confirm?next=")
    assert Passkey.objects.count() == 1


def test_a_challenge_of_one_session_is_nothing_in_another(alice: Person, bob: Person, clock: Clock) -> None:
    """M06, M07: not in another session of alice's, least of all in bob's."""
    made = SoftKey().create(options(alice.client, ADDING))
    other, _ = alice.new_browser()
    for browser in (other, bob.client):
        assert browser.post("/account/passkeys/add", {"credential": made}).status_code == 422
    assert not Passkey.objects.exists()


def test_an_assertion_is_no_registration_and_the_other_way_round(alice: Person, key: SoftKey) -> None:
    """M06."""
    asked = options(alice.client, ADDING)
    sent = key.get(asked | {"rpId": asked["rp"]["id"]})
    assert alice.client.post("/account/passkeys/add", {"credential": sent}).status_code == 422
    confirm = options(alice.client, "/account/confirm/options")
    made = SoftKey().create(asked | {"challenge": confirm["challenge"]})
    assert alice.client.post("/account/confirm", {"credential": made}).status_code == 422
    assert Passkey.objects.count() == 1


def test_nobody_registers_a_key_that_is_somebodys(alice: Person, bob: Person, key: SoftKey) -> None:
    """M07: bob, who saw the id of alice's credential, cannot make it his."""
    his = SoftKey(ident=key.ident)
    made = his.create(options(bob.client, ADDING))
    answer = bob.client.post("/account/passkeys/add", {"credential": made})
    assert answer.status_code == 422
    assert "registered already" in answer.content.decode()
    assert Passkey.objects.get().user == alice.user


def test_the_browser_is_told_which_keys_are_there(alice: Person, key: SoftKey) -> None:
    asked = options(alice.client, ADDING)
    assert len(asked["excludeCredentials"]) == 1
    assert asked["attestation"] == "none"
    assert asked["authenticatorSelection"]["userVerification"] == "required"


def test_nobody_sees_renames_or_removes_anothers(alice: Person, bob: Person, key: SoftKey) -> None:
    """M12: another's sounds like none."""
    for path in (path_of(), f"/account/passkeys/{NOBODYS}"):
        assert bob.client.get(path).status_code == 404
        assert bob.client.post(path, {"name": "mine"}).status_code == 404
        assert bob.client.post(f"{path}/remove").status_code == 404
    assert "laptop" not in bob.client.get("/account/passkeys").content.decode()
    assert Passkey.objects.get().name == "laptop"


def test_the_last_factor_stays(alice: Person, key: SoftKey) -> None:
    """M12: whichever it is."""
    TotpDevice.objects.all().delete()
    page = alice.client.get("/account/passkeys").content.decode()
    assert "only second factor" in page
    assert "/remove" not in page
    assert alice.client.post(f"{path_of()}/remove").status_code == 409
    assert Passkey.objects.count() == 1


def test_two_removals_at_once_leave_one_factor(alice: Person, key: SoftKey) -> None:
    """M12: each alone would be fine; the user's row is locked."""
    remove(TESTS, alice.user, Passkey.objects.get().pk)
    with pytest.raises(Conflict):
        remove_totp(TESTS, alice.user)
    assert second_factor.kinds_of(alice.user) == ("totp",)


def test_a_form_from_elsewhere_removes_and_renames_nothing(alice: Person, key: SoftKey) -> None:
    """M12, X01."""
    browser, _ = alice.new_browser(enforce_csrf_checks=True)
    for path in (path_of(), f"{path_of()}/remove", "/account/passkeys/add", "/account/authenticator/remove"):
        assert browser.post(path, {"name": "evil"}, headers={"origin": "http://evil.example"}).status_code == 403
    assert Passkey.objects.get().name == "laptop"
    assert totp.device_of(alice.user)


def test_there_is_an_end_to_how_many(alice: Person, key: SoftKey) -> None:
    Passkey.objects.bulk_create(
        Passkey(user=alice.user, name=str(n), credential_id=b"%d" % n, credential_id_sha256=str(n), public_key=b"")
        for n in range(MOST - 1)
    )
    answer = alice.client.post(ADDING, headers={"origin": ORIGIN})
    assert answer.status_code == 409
    assert "remove one" in answer.json()["detail"]
    assert not PasskeyChallenge.objects.exists()


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x" * 65, "a\0b", "a\u202eb", "\u200b"])
def test_a_name_that_hides_something_is_refused(alice: Person, key: SoftKey, name: str) -> None:
    """X09, M12."""
    assert alice.client.post(path_of(), {"name": name}).status_code == 422
    made = SoftKey().create(options(alice.client, ADDING))
    assert alice.client.post("/account/passkeys/add", {"credential": made, "name": name}).status_code == 422
    assert Passkey.objects.get().name == "laptop"


@pytest.mark.parametrize("name", ["", "   "])
def test_a_passkey_is_called_something(alice: Person, key: SoftKey, name: str) -> None:
    assert alice.client.post(path_of(), {"name": name}).status_code == 422


def test_hostile_text_in_a_name_is_inert(alice: Person, key: SoftKey) -> None:
    """X09, M12: on every page that shows it, and in the log."""
    name = XSS[:64]
    assert alice.client.post(path_of(), {"name": name}).status_code == 302
    path = path_of(name)
    for page in ("/account/passkeys", path, f"{path}/remove", "/account"):
        text = alice.client.get(page).content.decode()
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert str(9**9) not in text
    event = AuditEvent.objects.get(name="user.factor.renamed")
    assert event.data == {"factor": "passkey", "called": name, "before": "laptop"}


def test_a_name_need_not_be_given_when_a_passkey_is_added(alice: Person, clock: Clock) -> None:
    """The browser must not hold the form back for it."""
    page = alice.client.get("/account/passkeys/add").content.decode()
    assert "required" not in page.partition('name="name"')[2].partition(">")[0]


def test_line_breaks_become_spaces(alice: Person, key: SoftKey) -> None:
    """A10."""
    alice.client.post(path_of(), {"name": " work\r\nuser.disabled bob\t"})
    assert Passkey.objects.get().name == "work user.disabled bob"


def test_without_a_name_a_key_is_called_what_it_looks_like(alice: Person, clock: Clock) -> None:
    made: dict[str, SoftKey] = {
        "Firefox on Linux": SoftKey(),
        "Security key": SoftKey(transports=("nfc", "usb"), discoverable=False),
        "Phone": SoftKey(transports=("hybrid",)),
    }
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    LoginSession.objects.filter(pk=alice.session.pk).update(user_agent=agent)
    alice.client.defaults["HTTP_USER_AGENT"] = agent
    for key in made.values():
        sent = {"credential": key.create(options(alice.client, ADDING))}
        assert alice.client.post("/account/passkeys/add", sent).status_code == 302
    assert set(Passkey.objects.values_list("name", flat=True)) == set(made)
    page = alice.client.get("/account/passkeys").content.decode()
    for words in ("this device", "security key", "phone", "as second factor only"):
        assert words in page


# --- what is done -----------------------------------------------------------------------------------------------------


def test_a_passkey_is_added_recorded_and_noticed(alice: Person, key: SoftKey) -> None:
    event = AuditEvent.objects.get(name="user.factor.enrolled")
    assert (event.data["factor"], event.data["called"]) == ("passkey", "laptop")
    assert event.resource_name == event.actor_name == "alice"
    told = Notice.objects.get(user=alice.user, kind=Notice.Kind.FACTOR_ADDED)
    assert told.data["name"] == "laptop"
    assert b"laptop" in alice.client.get("/account/passkeys").content
    public = bytes(Passkey.objects.get().public_key)
    assert public
    assert public.hex() not in str(event.data)


def test_removing_one_ends_nothing_and_is_recorded_and_noticed(alice: Person, key: SoftKey) -> None:
    other = alice.new_browser()[0]
    assert "it signs nobody in any more" in alice.client.get(f"{path_of()}/remove").content.decode()
    assert alice.client.post(f"{path_of()}/remove")["Location"] == "/account/passkeys"
    assert not Passkey.objects.exists()
    assert other.get("/account").status_code == 200
    event = AuditEvent.objects.get(name="user.factor.removed")
    assert (event.data["factor"], event.data["called"]) == ("passkey", "laptop")
    assert Notice.objects.filter(user=alice.user, kind=Notice.Kind.FACTOR_REMOVED).count() == 1
    browser = new_client()
    sent = {"credential": key.get(options(browser, "/sign-in/passkey/options"))}
    assert browser.post("/sign-in/passkey", sent).status_code == 422


def test_the_app_can_go_once_there_is_a_passkey(alice: Person, bob: Person, key: SoftKey) -> None:
    link = b'href="/account/authenticator/remove"'
    assert link not in bob.client.get("/account").content, "his only one"
    assert link in alice.client.get("/account").content
    assert alice.client.post("/account/authenticator/remove").status_code == 302
    assert second_factor.kinds_of(alice.user) == ("passkey",)
    assert AuditEvent.objects.get(name="user.factor.removed").data["factor"] == "totp"
    assert link not in alice.client.get("/account").content
    assert alice.client.post("/account/authenticator/remove").status_code == 404
    assert "stops working" not in alice.client.get("/account/authenticator").content.decode()


# --- confirming -------------------------------------------------------------------------------------------------------


def test_confirming_with_a_passkey_counts_as_one_and_changes_the_token(
    alice: Person, key: SoftKey, clock: Clock
) -> None:
    """S03: the old token is dead."""
    clock.advance(301)
    old, session = alice.client.cookies[cookies.SESSION].value, alice.session.pk
    asked = options(alice.client, "/account/confirm/options")
    answer = alice.client.post("/account/confirm?next=/account/passkeys/add", {"credential": key.get(asked)})
    assert answer["Location"] == "/account/passkeys/add"
    assert alice.client.get("/account/passkeys/add").status_code == 200
    now = LoginSession.objects.get(pk=session)
    assert now.mfa_at == clock.now
    assert "hwk" in now.amr
    assert "pwd" in now.amr
    stale = new_client()
    stale.cookies[cookies.SESSION] = old
    assert stale.get("/account").status_code == 302


def test_a_code_does_not_count_where_a_passkey_is_needed(alice: Person, key: SoftKey, clock: Clock) -> None:
    """M15."""
    recovery.new_codes(alice.user)
    path = "/account/confirm?need=phishing-resistant&next=/account"
    page = alice.client.get(f"{path}&with=totp").content.decode()
    assert "Use a passkey or security key" in page
    assert "authenticator app instead" not in page
    assert "recovery code instead" not in page
    for way in ("", "&with=totp", "&with=recovery-code"):
        assert alice.client.post(path + way, {"code": alice.code()}).status_code == 422
    assert "hwk" not in alice.session.amr


def test_who_has_no_passkey_is_told_how_to_get_one(alice: Person, clock: Clock) -> None:
    """M15."""
    path = "/account/confirm?need=phishing-resistant&next=/launch/vault"
    page = alice.client.get(path).content.decode()
    assert "no passkey yet" in page
    assert "/account/passkeys/add?next=%2Faccount%2Fconfirm%3Fneed%3Dphishing-resistant" in page
    assert alice.client.post(path, {"code": alice.code()}).status_code == 200
    assert alice.session.amr == ["mfa", "otp", "pwd"]
    made = SoftKey().create(options(alice.client, ADDING))
    added = alice.client.post(
        f"/account/passkeys/add?next={path.replace('&', '%26').replace('?', '%3F')}", {"credential": made}
    )
    assert added["Location"].startswith("/account/confirm?need=phishing-resistant")


def test_what_one_has_is_offered_and_nothing_else(alice: Person, clock: Clock) -> None:
    page = alice.client.get("/account/confirm").content.decode().partition("<main")[2]
    assert 'autocomplete="one-time-code"' in page
    assert "passkey" not in page
    assert "recovery" not in page
    recovery.new_codes(alice.user)
    registered(alice)
    page = alice.client.get("/account/confirm?next=/account/recovery-codes").content.decode()
    assert "data-passkey" in page
    assert "?with=totp&amp;next=/account/recovery-codes" in page
    assert "?with=recovery-code" in page


def test_only_alices_passkeys_are_asked_for(alice: Person, bob: Person, key: SoftKey) -> None:
    registered(bob)
    assert len(options(alice.client, "/account/confirm/options")["allowCredentials"]) == 1


def test_when_it_was_used_is_shown(alice: Person, key: SoftKey, clock: Clock) -> None:
    assert "never" in alice.client.get("/account/passkeys").content.decode()
    asked = options(alice.client, "/account/confirm/options")
    alice.client.post("/account/confirm", {"credential": key.get(asked)})
    assert Passkey.objects.get().last_used_at == timezone.now()
    assert "never" not in alice.client.get("/account/passkeys").content.decode().partition("<main")[2]
