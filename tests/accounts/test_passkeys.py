"""Passkeys: whose answers must not count, at every door, and then what they open."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_otp_webauthn.models import WebAuthnUserHandle

from accounts import cookies
from accounts.authenticators import passkey, password, recovery, second_factor
from accounts.models import (
    Connector,
    Identity,
    LoginSession,
    Notice,
    Passkey,
    PasskeyChallenge,
    RecoveryCode,
    SignIn,
    TotpDevice,
    User,
)
from accounts.services.factor_resets import forget_factors
from accounts.services.invites import invite_user
from accounts.services.sign_in import begin_vouched
from accounts.services.users import create_user, disable_user
from broker.models import AuditEvent
from tests.accounts.soft_key import ORIGIN, SoftKey, options, registered
from tests.conftest import TESTS, Clock, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)
WORDS = "tall ships sail at noon"
SECOND = "/sign-in/second-factor"


def past_password(person: Person) -> Client:
    browser = new_client()
    answer = browser.post("/sign-in", {"username": person.name, "password": person.password})
    assert answer["Location"] == SECOND
    return browser


def is_in(browser: Client) -> bool:
    return browser.get("/account").status_code == 200


def last_failure() -> AuditEvent:
    found = AuditEvent.objects.filter(name="user.sign_in.failed").order_by("-seq").first()
    assert found is not None
    return found


@pytest.fixture
def key(alice: Person, clock: Clock) -> SoftKey:
    return registered(alice, "laptop")


# --- three doors: alone, as a second factor, confirming ---------------------------------------------------------------


def alone(person: Person) -> tuple[Client, str, str]:
    return new_client(), "/sign-in/passkey/options", "/sign-in/passkey"


def second(person: Person) -> tuple[Client, str, str]:
    return past_password(person), f"{SECOND}/options", SECOND


def confirming(person: Person) -> tuple[Client, str, str]:
    return person.new_browser()[0], "/account/confirm/options", "/account/confirm"


DOORS = [alone, second, confirming]
WRONG: dict[str, dict[str, Any]] = {
    "made at another site": {"origin": "https://postern.localhost.evil.example"},
    "made at an app below our name": {"origin": "http://grafana.postern.localhost:8080"},
    "made at another port": {"origin": "http://postern.localhost:9999"},
    "made over another scheme": {"origin": "https://postern.localhost:8080"},
    "made in a frame of another site": {"cross_origin": True},
    "for another site": {"rp_id": "postern.localhost.evil.example"},
    "for an app below our name": {"rp_id": "grafana.postern.localhost"},
    "without PIN or finger": {"verified": False},
    "without anybody there": {"present": False},
    "made as a registration": {"type": "webauthn.create"},
    "with another's signature": {"tampered": True},
    "for another challenge": {"challenge": base64.urlsafe_b64encode(b"x" * 32).decode().rstrip("=")},
    "for no challenge": {"challenge": ""},
    "saying it is somebody else's": {"handle": b"y" * 64},
    "of a key that has become another kind": {"synchronised": True},
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("how", WRONG, ids=[name.replace(" ", "-") for name in WRONG])
def test_a_wrong_answer_opens_nothing(
    alice: Person, key: SoftKey, door: Callable[[Person], tuple[Client, str, str]], how: str
) -> None:
    """M06."""
    browser, ask, answer = door(alice)
    signed_in = LoginSession.objects.count()
    mfa_at = LoginSession.objects.values_list("pk", "mfa_at", "amr", "token_hash")
    before = set(map(str, mfa_at))
    response = browser.post(answer, {"credential": key.get(options(browser, ask), **WRONG[how])})
    assert response.status_code == 422
    assert "That did not work" in response.content.decode()
    assert LoginSession.objects.count() == signed_in
    assert set(map(str, mfa_at.all())) == before
    assert last_failure().data["step"] == "passkey"
    assert last_failure().data["why"]


@pytest.mark.parametrize("door", DOORS)
def test_an_answer_counts_once(alice: Person, key: SoftKey, door: Callable[[Person], Any]) -> None:
    """M06: the same answer again, also in a browser with the same cookies."""
    browser, ask, answer = door(alice)
    sent = key.get(options(browser, ask))
    held = {name: morsel.value for name, morsel in browser.cookies.items()}
    assert browser.post(answer, {"credential": sent}).status_code == 302
    again = new_client()
    for name, value in held.items():
        again.cookies[name] = value
    assert again.post(answer, {"credential": sent}).status_code in (302, 422)
    assert not is_in(again)
    PasskeyChallenge.objects.all().delete()
    fresh, ask, answer = door(alice)
    options(fresh, ask)
    assert fresh.post(answer, {"credential": sent}).status_code == 422


@pytest.mark.parametrize("door", DOORS)
def test_a_wrong_answer_uses_the_challenge_up(alice: Person, key: SoftKey, door: Callable[[Person], Any]) -> None:
    """M06: there is no second try at the same challenge."""
    browser, ask, answer = door(alice)
    asked = options(browser, ask)
    assert browser.post(answer, {"credential": key.get(asked, verified=False)}).status_code == 422
    assert browser.post(answer, {"credential": key.get(asked)}).status_code == 422
    assert last_failure().data["why"] == "challenge"
    assert browser.post(answer, {"credential": key.get(options(browser, ask))}).status_code == 302


@pytest.mark.parametrize("door", DOORS)
def test_a_challenge_ends_after_five_minutes(
    alice: Person, key: SoftKey, clock: Clock, door: Callable[[Person], Any]
) -> None:
    """M06."""
    browser, ask, answer = door(alice)
    asked = options(browser, ask)
    clock.advance(301)
    assert browser.post(answer, {"credential": key.get(asked)}).status_code == 422
    assert "took too long" in browser.post(answer, {"credential": key.get(asked)}).content.decode()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("other", [*DOORS, "register"])
def test_a_challenge_counts_at_the_door_it_was_made_at(
    alice: Person, key: SoftKey, door: Callable[[Person], Any], other: Any
) -> None:
    """M06: one flow's challenge is nothing in another, though it is the same person and browser."""
    browser, ask, answer = door(alice)
    if other == "register":
        asked = options(alice.client, "/account/passkeys/options") | {"rpId": "postern.localhost"}
    else:
        elsewhere, ask, _ = other(alice)
        asked = options(elsewhere, ask)
        if other is not door:
            for name in (cookies.PASSKEY, cookies.SIGN_IN, cookies.SESSION):
                if name in elsewhere.cookies and name not in browser.cookies:
                    browser.cookies[name] = elsewhere.cookies[name].value
            if door is alone and other is confirming:
                browser.cookies.pop(cookies.SESSION)  # who is signed in is sent on before anything is looked at
    response = browser.post(answer, {"credential": key.get(asked)})
    assert response.status_code == 422
    assert last_failure().data["why"] == "challenge"


@pytest.mark.parametrize("door", [second, confirming])
def test_bobs_passkey_is_nothing_in_alices_sign_in(
    alice: Person, bob: Person, key: SoftKey, door: Callable[[Person], Any]
) -> None:
    """M07: with his name for himself, without any, and with hers."""
    bobs = registered(bob)
    for handle in (bobs.user_handle, b"", key.user_handle):
        browser, ask, answer = door(alice)
        response = browser.post(answer, {"credential": bobs.get(options(browser, ask), handle=handle)})
        assert response.status_code == 422
        assert last_failure().data["why"] == "somebody-elses"
        assert last_failure().resource_name == "alice"


def test_a_passkey_alone_must_say_whose_it_is(alice: Person, bob: Person, key: SoftKey) -> None:
    """M07: a security key that was told the id of alice's credential names nobody."""
    registered(bob)
    for handle in (b"", WebAuthnUserHandle.get_handle_for_user(bob.user)):
        browser, ask, answer = alone(alice)
        assert browser.post(answer, {"credential": key.get(options(browser, ask), handle=handle)}).status_code == 422
        assert not is_in(browser)


@pytest.mark.parametrize("door", DOORS)
def test_a_counter_that_goes_backwards_is_refused_and_recorded(
    alice: Person, key: SoftKey, door: Callable[[Person], Any]
) -> None:
    browser, ask, answer = door(alice)
    known = Passkey.objects.get().sign_count
    for count in (known, known - 1, 0):
        assert browser.post(answer, {"credential": key.get(options(browser, ask), count=count)}).status_code == 422
        event = AuditEvent.objects.filter(name="user.passkey.cloned").order_by("-seq")[0]
        assert event.data == {"called": "laptop", "known": known, "given": count}
        assert event.resource_name == "alice"
    assert Passkey.objects.get().sign_count == known
    notice = Notice.objects.get(user=alice.user, kind=Notice.Kind.PASSKEY_COPIED)  # one, however often it is tried
    assert notice.data == {"name": "laptop"}


def test_a_forged_counter_is_no_alarm(alice: Person, key: SoftKey) -> None:
    """Only whoever holds a copy of the key can raise it: the signature is looked at first."""
    browser, ask, answer = alone(alice)
    browser.post(answer, {"credential": key.get(options(browser, ask), count=0, tampered=True)})
    assert not AuditEvent.objects.filter(name="user.passkey.cloned").exists()


@pytest.mark.parametrize("door", DOORS)
def test_a_synchronised_passkey_has_no_counter(alice: Person, clock: Clock, door: Callable[[Person], Any]) -> None:
    key = registered(alice, synchronised=True, counts=False)
    for _ in range(2):
        browser, ask, answer = door(alice)
        assert browser.post(answer, {"credential": key.get(options(browser, ask))}).status_code == 302


@pytest.mark.parametrize("door", DOORS)
def test_of_ten_answers_at_once_one_counts(alice: Person, key: SoftKey, door: Callable[[Person], Any]) -> None:
    browser, ask, answer = door(alice)
    asked = options(browser, ask)
    sent = [key.get(asked) for _ in range(10)]
    held = {name: morsel.value for name, morsel in browser.cookies.items()}

    def send(credential: str) -> int:
        try:
            tab = new_client()
            for name, value in held.items():
                tab.cookies[name] = value
            response = tab.post(answer, {"credential": credential})
            return int(cookies.SESSION in response.cookies)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(send, sent)) == 1


UNREADABLE: list[object] = ["", "bnVsbA", 7, []]


@pytest.mark.parametrize(
    "credential",
    ["", "null", "[]", "{}", "0", '"x"', "\0", "{" * 5000, "[" * 40_000, '{"response": {}}', "x" * 50_001]
    + [json.dumps({"rawId": "AA", "response": {"clientDataJSON": value}}) for value in UNREADABLE]
    + [json.dumps({"rawId": {}, "response": {"clientDataJSON": "eyJjaGFsbGVuZ2UiOiAiIn0"}})],
)
def test_what_is_no_answer_is_refused(alice: Person, key: SoftKey, credential: str) -> None:
    browser, ask, answer = alone(alice)
    options(browser, ask)
    assert browser.post(answer, {"credential": credential}).status_code == 422


@pytest.mark.parametrize("field", ["authenticatorData", "signature", "userHandle", "clientDataJSON"])
@pytest.mark.parametrize("value", ["", "AA", "!!", 7, None, {}, "A" * 20_000])
def test_a_damaged_answer_is_refused(alice: Person, key: SoftKey, field: str, value: object) -> None:
    browser, ask, answer = second(alice)
    sent = json.loads(key.get(options(browser, ask)))
    sent["response"][field] = value
    if (field, value) in (("userHandle", ""), ("userHandle", None)):
        return  # a second factor need not say whose it is
    assert browser.post(answer, {"credential": json.dumps(sent)}).status_code == 422


def test_wrong_answers_are_limited_and_block_nobodys_password(alice: Person, key: SoftKey, clock: Clock) -> None:
    """A passkey cannot be guessed: its counter keeps the log short, and is the address's alone."""
    browser, _ask, answer = alone(alice)
    for _ in range(30):
        assert browser.post(answer, {"credential": "{}"}).status_code == 422
    assert browser.post(answer, {"credential": "{}"}).status_code == 429
    assert AuditEvent.objects.filter(name="user.sign_in.throttled").count() == 1
    assert past_password(alice)


def test_guessing_at_alices_password_does_not_lock_her_passkey_out(alice: Person, key: SoftKey, clock: Clock) -> None:
    """M04."""
    for _ in range(6):
        new_client().post("/sign-in", {"username": "alice", "password": "wrong"})
    browser, ask, answer = alone(alice)
    assert browser.post(answer, {"credential": key.get(options(browser, ask))}).status_code == 302


# --- what a script may ask for ----------------------------------------------------------------------------------------

ASKING = [
    "/sign-in/passkey/options",
    "/sign-in/second-factor/options",
    "/sign-in/enrol/options",
    "/account/confirm/options",
    "/account/passkeys/options",
]


@pytest.mark.parametrize("path", ASKING)
@pytest.mark.parametrize("origin", [None, "null", "", "http://evil.example", "http://grafana.postern.localhost:8080"])
def test_only_our_own_pages_may_ask(alice: Person, path: str, origin: str | None) -> None:
    """X01, X07."""
    headers = {} if origin is None else {"origin": origin}
    for browser in (alice.client, new_client()):
        assert browser.post(path, headers=headers).status_code == 403
    assert not PasskeyChallenge.objects.exists()


@pytest.mark.parametrize("path", ASKING)
def test_asking_needs_the_token_of_a_page(alice: Person, path: str) -> None:
    """X01."""
    browser, _ = alice.new_browser(enforce_csrf_checks=True)
    assert browser.post(path, headers={"origin": ORIGIN}).status_code == 403
    assert browser.get(path).status_code in (403, 405)
    assert not PasskeyChallenge.objects.exists()


def test_after_the_password_alone_only_the_second_factors_options_are_told(alice: Person, key: SoftKey) -> None:
    """M01."""
    browser = past_password(alice)
    for path in ASKING:
        answer = browser.post(path, headers={"origin": ORIGIN})
        told = answer.status_code == 200 and "allowCredentials" in answer.json()
        assert told == (path in ("/sign-in/passkey/options", "/sign-in/second-factor/options")), path
    assert not options(browser, "/sign-in/passkey/options")["allowCredentials"]


def test_nobody_learns_which_passkeys_there_are(alice: Person, key: SoftKey) -> None:
    asked = options(new_client(), "/sign-in/passkey/options")
    assert asked["allowCredentials"] == []
    assert asked["userVerification"] == "required"
    assert asked["rpId"] == "postern.localhost"
    assert "alice" not in json.dumps(asked)
    handle = options(alice.client, "/account/passkeys/options")["user"]["id"]
    assert len(handle) > 80, "64 random bytes"


def test_a_browsers_challenge_is_nothing_in_another_browser(alice: Person, bob: Person, key: SoftKey) -> None:
    """X03: bob, who asked for a challenge in his browser, cannot sign alice's browser in as himself."""
    bobs = registered(bob)
    asked = options(new_client(), "/sign-in/passkey/options")
    victim = new_client()
    options(victim, "/sign-in/passkey/options")
    assert victim.post("/sign-in/passkey", {"credential": bobs.get(asked)}).status_code == 422
    without = new_client()
    assert without.post("/sign-in/passkey", {"credential": bobs.get(asked)}).status_code == 422


def test_tabs_have_a_challenge_each_and_an_endless_reload_leaves_few(alice: Person, key: SoftKey) -> None:
    browser = new_client()
    first = options(browser, "/sign-in/passkey/options")
    for _ in range(7):
        options(browser, "/sign-in/passkey/options")
    assert browser.post("/sign-in/passkey", {"credential": key.get(first)}).status_code == 302
    other = new_client()
    for _ in range(20):
        options(other, "/sign-in/passkey/options")
    assert PasskeyChallenge.objects.count() < 20


# --- a passkey alone --------------------------------------------------------------------------------------------------


def test_a_disabled_user_hears_what_nobody_hears(alice: Person, key: SoftKey) -> None:
    """S10."""
    disable_user(TESTS, alice.user)
    answers = []
    for using in (key, SoftKey(user_handle=b"z" * 64)):
        browser, ask, answer = alone(alice)
        response = browser.post(answer, {"credential": using.get(options(browser, ask))})
        assert response.status_code == 422
        answers.append(response.content.decode().partition("That did not work")[2].partition("</ul>")[0])
    assert answers[0] == answers[1]
    assert "not accepted" in answers[0]


def arrives_from(user: User, kind: str, enabled: bool = True) -> None:
    connector = Connector.objects.create(kind=kind, name=f"{kind}-1", enabled=enabled, document={})
    Identity.objects.create(user=user, connector=connector, issuer=f"{kind}:1", subject="s1")


@pytest.mark.parametrize("kind", ["oidc", "ldap"])
@pytest.mark.parametrize("enabled", [True, False])
def test_who_comes_from_elsewhere_does_not_come_in_past_it(
    alice: Person, key: SoftKey, kind: str, enabled: bool
) -> None:
    """L28: who is gone at the provider must not come in by the passkey that was once their second factor."""
    arrives_from(alice.user, kind, enabled)
    User.objects.filter(pk=alice.user.pk).update(password="!")
    browser, ask, answer = alone(alice)
    response = browser.post(answer, {"credential": key.get(options(browser, ask))})
    assert response.status_code == 422
    assert "kept elsewhere" in response.content.decode()
    assert not is_in(browser)
    assert last_failure().data["why"] == "vouched-for-elsewhere"


def test_who_has_a_password_here_too_may(alice: Person, key: SoftKey) -> None:
    arrives_from(alice.user, "oidc")
    browser, ask, answer = alone(alice)
    assert browser.post(answer, {"credential": key.get(options(browser, ask))}).status_code == 302


def test_alice_signs_in_with_a_passkey_alone_and_lands_where_she_was_going(
    alice: Person, key: SoftKey, clock: Clock
) -> None:
    """S03: and with a token of its own."""
    browser, ask, answer = alone(alice)
    asked = options(browser, ask)
    response = browser.post(answer, {"credential": key.get(asked), "next": "/account"})
    assert response["Location"] == "/account"
    assert is_in(browser)
    session = LoginSession.objects.order_by("-created_at").exclude(pk=alice.session.pk).get()
    assert session.amr == ["hwk", "mfa", "user"]
    assert session.mfa_at == clock.now
    assert session.via == "local"
    assert not browser.cookies[cookies.PASSKEY].value
    assert cookies.SIGN_IN not in browser.cookies or not browser.cookies[cookies.SIGN_IN].value
    assert Passkey.objects.get().last_used_at == clock.now


def test_where_somebody_is_signed_in_nobody_else_comes_in(alice: Person, bob: Person, key: SoftKey) -> None:
    """X03."""
    browser, _session = bob.new_browser()
    answer = browser.post("/sign-in/passkey", {"credential": key.get(options(browser, "/sign-in/passkey/options"))})
    assert answer.status_code == 302
    assert "bob" in browser.get("/account").content.decode()


def test_the_next_page_is_one_of_ours(alice: Person, key: SoftKey) -> None:
    """L33."""
    browser, ask, answer = alone(alice)
    sent = {"credential": key.get(options(browser, ask)), "next": "https://evil.example/"}
    assert browser.post(answer, sent)["Location"] == "/"


def test_a_reset_that_is_due_comes_before_the_passkey_it_forgets(alice: Person, key: SoftKey, clock: Clock) -> None:
    """M18."""
    from accounts.services.factor_resets import ask as ask_reset

    ask_reset(TESTS, alice.user)
    clock.advance(30 * 86_400)
    browser, ask, answer = alone(alice)
    assert browser.post(answer, {"credential": key.get(options(browser, ask))}).status_code == 422
    assert not is_in(browser)
    assert not Passkey.objects.exists()


# --- the second factor ------------------------------------------------------------------------------------------------


def test_the_passkey_is_offered_first_then_the_app_then_a_recovery_code(alice: Person, key: SoftKey) -> None:
    recovery.new_codes(alice.user)
    browser = past_password(alice)
    page = browser.get(SECOND).content.decode()
    assert "Use your passkey" in page
    assert "?with=totp" in page
    assert "?with=recovery-code" in page
    assert 'autocomplete="one-time-code"' in browser.get(f"{SECOND}?with=totp").content.decode()
    assert browser.post(f"{SECOND}?with=totp", {"code": alice.code()}).status_code == 302
    assert is_in(browser)


def test_what_one_does_not_have_is_not_offered(alice: Person, clock: Clock) -> None:
    page = past_password(alice).get(f"{SECOND}?with=passkey").content.decode()
    assert "passkey" not in page.partition("<main")[2]
    assert 'autocomplete="one-time-code"' in page


def test_password_and_passkey_make_a_session(alice: Person, key: SoftKey, clock: Clock) -> None:
    browser, ask, answer = second(alice)
    asked = options(browser, ask)
    assert len(asked["allowCredentials"]) == 1
    assert browser.post(answer, {"credential": key.get(asked, handle=b"")})["Location"] == "/"
    assert is_in(browser)
    session = LoginSession.objects.exclude(pk=alice.session.pk).get()
    assert session.amr == ["hwk", "mfa", "pwd"]


def test_a_synchronised_passkey_is_told_from_one_that_stays(alice: Person, clock: Clock) -> None:
    key = registered(alice, synchronised=True, counts=False)
    browser, ask, answer = second(alice)
    browser.post(answer, {"credential": key.get(options(browser, ask))})
    assert LoginSession.objects.exclude(pk=alice.session.pk).get().amr == ["mfa", "pwd", "swk"]


def test_a_user_with_a_passkey_and_no_app_signs_in(alice: Person, key: SoftKey) -> None:
    TotpDevice.objects.all().delete()
    browser, ask, answer = second(alice)
    assert browser.post(answer, {"credential": key.get(options(browser, ask))}).status_code == 302
    assert is_in(browser)


# --- enrolling at the first sign-in -----------------------------------------------------------------------------------


def at_enrolment(user: User) -> Client:
    browser = new_client()
    browser.post(invite_user(TESTS, user).url.removeprefix(ORIGIN))
    browser.post("/sign-in/new-password", {"new_password": WORDS})
    page = browser.get("/sign-in/enrol").content.decode()
    assert "Set up a passkey" in page
    assert "otpauth://" in page
    return browser


@pytest.mark.parametrize("how", ["made at another site", "for another site", "without PIN or finger"])
def test_a_passkey_made_wrongly_is_not_enrolled(db: None, how: str) -> None:
    browser = at_enrolment(create_user(TESTS, "dora"))
    made = SoftKey().create(options(browser, "/sign-in/enrol/options"), **WRONG[how])
    assert browser.post("/sign-in/enrol", {"credential": made}).status_code == 422
    assert not Passkey.objects.exists()


def test_dora_comes_in_by_her_invite_with_a_passkey(clock: Clock, db: None) -> None:
    dora = create_user(TESTS, "dora")
    browser = at_enrolment(dora)
    key = SoftKey()
    page = browser.post("/sign-in/enrol", {"credential": key.create(options(browser, "/sign-in/enrol/options"))})
    assert page.status_code == 200
    assert page.content.decode().count("<li>") == 10
    assert not LoginSession.objects.exists(), "nothing opens before the codes are saved"
    assert browser.post("/sign-in/recovery-codes", {"saved": "yes"})["Location"] == "/"
    assert is_in(browser)
    dora.refresh_from_db()
    assert password.is_right(dora, WORDS)
    assert second_factor.kinds_of(dora) == ("passkey",)
    assert not TotpDevice.objects.exists(), "no orphan that waits"
    assert LoginSession.objects.get().amr == ["hwk", "mfa", "pwd"]
    event = AuditEvent.objects.get(name="user.factor.enrolled")
    assert (event.data["factor"], event.resource_name, event.actor_name) == ("passkey", "dora", "dora")
    assert [notice.kind for notice in Notice.objects.filter(user=dora)] == ["new-device"], "one greeting is enough"


def test_whose_passkey_it_is_does_not_come_from_the_request(alice: Person, clock: Clock) -> None:
    """M10."""
    dora = create_user(TESTS, "dora")
    browser = at_enrolment(dora)
    made = SoftKey().create(options(browser, "/sign-in/enrol/options?user=alice"))
    alices = {"user": "alice", "user_id": str(alice.user.pk), "userHandle": "x", "email": "a@b.c"}
    assert browser.post("/sign-in/enrol?user=alice", {"credential": made, **alices}).status_code == 200
    assert Passkey.objects.get().user == dora


def test_an_answer_made_for_another_sign_in_enrols_nothing(clock: Clock, db: None) -> None:
    """M06, M07: mallory's key does not become dora's."""
    doras, mallorys = (at_enrolment(create_user(TESTS, name)) for name in ("dora", "mallory"))
    made = SoftKey().create(options(mallorys, "/sign-in/enrol/options"))
    assert doras.post("/sign-in/enrol", {"credential": made}).status_code == 422
    assert not Passkey.objects.exists()


def test_two_enrolments_at_once_leave_one_factor(clock: Clock, db: None) -> None:
    """M21: passkeys and codes, in eight tabs of one sign-in."""
    dora = create_user(TESTS, "dora")
    browser = at_enrolment(dora)
    token = browser.cookies[cookies.SIGN_IN].value
    code = Person(dora, "", TotpDevice.objects.get(user=dora)).code()
    fields: list[dict[str, str]] = [
        {"credential": SoftKey().create(options(browser, "/sign-in/enrol/options"))} for _ in range(4)
    ]
    fields += [{"code": code}] * 4

    def enrol(sent: dict[str, str]) -> int:
        try:
            tab = new_client()
            tab.cookies[cookies.SIGN_IN] = token
            return tab.post("/sign-in/enrol", sent).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(enrol, fields))
    assert answers.count(200) == 1, answers
    assert Passkey.objects.count() + TotpDevice.objects.filter(confirmed=True).count() == 1
    assert not TotpDevice.objects.filter(confirmed=False).exists()
    assert RecoveryCode.objects.filter(user=dora).count() == 10


def vouched(user: User) -> Client:
    """A browser that a provider has just vouched for."""
    Connector.objects.get_or_create(kind="oidc", name="1", defaults={"document": {}})
    browser = new_client()
    browser.cookies[cookies.SIGN_IN] = begin_vouched(TESTS, user, via="oidc:1", amr=("fed",), next="/account")
    return browser


def test_who_comes_from_a_provider_for_the_first_time_enrols_here(clock: Clock, db: None) -> None:
    dora = create_user(TESTS, "dora")
    arrives_from(dora, "oidc")
    browser = vouched(dora)
    assert "Step 1 of 2" in browser.get("/sign-in/enrol").content.decode()
    key = SoftKey()
    sent = {"credential": key.create(options(browser, "/sign-in/enrol/options"))}
    assert "Step 2 of 2" in browser.post("/sign-in/enrol", sent).content.decode()
    assert browser.post("/sign-in/recovery-codes", {"saved": "yes"})["Location"] == "/account"
    assert LoginSession.objects.get().amr == ["fed", "hwk", "mfa"]
    again = vouched(dora)
    assert again.get("/sign-in/enrol")["Location"] == SECOND
    assert again.post(SECOND, {"credential": key.get(options(again, f"{SECOND}/options"))})["Location"] == "/account"


def test_two_first_sign_ins_from_a_provider_enrol_one_factor(clock: Clock, db: None) -> None:
    """M21: the second browser is asked for what the first one enrolled."""
    dora = create_user(TESTS, "dora")
    first, other = vouched(dora), vouched(dora)
    made = [SoftKey().create(options(browser, "/sign-in/enrol/options")) for browser in (first, other)]
    assert first.post("/sign-in/enrol", {"credential": made[0]}).status_code == 200
    assert other.post("/sign-in/enrol", {"credential": made[1]})["Location"] in ("/sign-in/enrol", SECOND)
    assert Passkey.objects.count() == 1


def test_a_reset_forgets_passkeys_too(alice: Person, key: SoftKey) -> None:
    """M18: and who comes from a provider enrols anew at the next sign-in there."""
    forget_factors(TESTS, alice.user, "at-once")
    assert not Passkey.objects.exists()
    browser, ask, answer = alone(alice)
    assert browser.post(answer, {"credential": key.get(options(browser, ask))}).status_code == 422
    assert "enrol" in vouched(alice.user).get(SECOND)["Location"]


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_challenges_that_were_not_answered_go(alice: Person, key: SoftKey, clock: Clock) -> None:
    from accounts.services.login_sessions import expire_sessions

    options(new_client(), "/sign-in/passkey/options")
    clock.advance(301)
    expire_sessions()
    assert not PasskeyChallenge.objects.exists()


def test_a_passkey_of_a_user_who_is_gone_is_nobodys(alice: Person, key: SoftKey) -> None:
    used = Passkey.objects.get()
    assert passkey.kind_of(used) == "this device"
    assert used.created_at is not None
    assert used.created_at > timezone.now() - timedelta(minutes=1)
    SignIn.objects.all().delete()
    User.objects.filter(pk=alice.user.pk).delete()
    browser, ask, answer = new_client(), "/sign-in/passkey/options", "/sign-in/passkey"
    assert browser.post(answer, {"credential": key.get(options(browser, ask))}).status_code == 422
