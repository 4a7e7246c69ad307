"""What people are told: a notice for each thing that changes how their account is entered, and the words of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts import throttle
from accounts.authenticators import recovery, totp
from accounts.mail import MailFailed, send
from accounts.models import LoginSession, Notice, TotpDevice, User
from accounts.notice_words import words_of
from accounts.services import notices
from accounts.services.factor_resets import forget_factors
from accounts.services.notice_mail import text_of
from accounts.services.users import create_user
from broker.audit.origin import Origin, system
from broker.mail_server import MAIL_ADDRESS
from tests.accounts.test_sign_in import give_password
from tests.conftest import TESTS, Clock, Person, new_client, new_person

pytestmark = pytest.mark.django_db(transaction=True)
HOSTILE = "x\r\nBcc: everybody@example.com\r\n\r\n<script>alert(1)</script>\u202egnp"


def told(person: Person) -> list[str]:
    """The kinds of all notices, the oldest first."""
    return list(Notice.objects.filter(user=person.user).order_by("created_at").values_list("kind", flat=True))


def sign_in(browser: Client, person: Person, **headers: Any) -> None:
    give_password(browser, person.name, person.password)
    browser.post("/sign-in/second-factor", {"code": person.code()}, **headers)


# --- nobody hears what is not theirs ----------------------------------------------------------------------------------


def test_bob_hears_nothing_of_alice(alice: Person, bob: Person) -> None:
    with transaction.atomic():
        notices.tell(TESTS, alice.user, Notice.Kind.PASSWORD_CHANGED)
    assert told(bob) == []
    assert b"was changed" not in bob.client.get("/account/notices").content
    bob.client.post("/account/notices/seen")
    assert notices.unseen(alice.user) == 1


def test_a_machine_is_told_nothing(db: None) -> None:
    machine = new_person("build-bot")
    User.objects.filter(pk=machine.user.pk).update(kind=User.Kind.MACHINE)
    machine.user.refresh_from_db()
    notices.tell(TESTS, machine.user, Notice.Kind.PASSWORD_CHANGED)
    assert told(machine) == []


def test_what_is_undone_is_not_told(alice: Person) -> None:
    with transaction.atomic():
        notices.tell(TESTS, alice.user, Notice.Kind.PASSWORD_CHANGED)
        transaction.set_rollback(True)
    assert told(alice) == []


@pytest.mark.parametrize("kind", [Notice.Kind.FACTOR_ADDED, Notice.Kind.IDENTITY_LINKED])
def test_what_belongs_to_the_first_sign_in_is_not_told_beside_it(alice: Person, kind: Notice.Kind) -> None:
    """It is, to whoever was in before: somebody else may have done it."""
    newcomer = create_user(TESTS, "dora")
    notices.tell(TESTS, newcomer, kind)
    notices.tell(TESTS, newcomer, Notice.Kind.NEW_DEVICE)
    assert [notice.kind for notice in Notice.objects.filter(user=newcomer)] == ["new-device"]
    LoginSession.objects.filter(pk=alice.session.pk).update(ended_at=timezone.now())
    notices.tell(TESTS, alice.user, kind)
    assert told(alice) == [kind]


# --- what is told -----------------------------------------------------------------------------------------------------


def test_a_new_browser_is_told_of_once(alice: Person, clock: Clock) -> None:
    browser = new_client()
    sign_in(browser, alice)
    assert told(alice) == ["new-device"]
    clock.advance(60)
    sign_in(browser, alice)
    assert told(alice) == ["new-device"], "the same browser again"
    clock.advance(60)
    sign_in(new_client(), alice)
    assert told(alice) == ["new-device", "new-device"]


def test_a_changed_password_is_told_of(alice: Person) -> None:
    new = {"password": alice.password, "new_password": "many a mile to go before"}
    alice.client.post("/account/password", new)
    assert told(alice) == ["password-changed"]


def test_another_authenticator_app_is_told_of(alice: Person, clock: Clock) -> None:
    alice.client.get("/account/authenticator")
    pending = TotpDevice.objects.get(user=alice.user, confirmed=False)
    alice.client.post("/account/authenticator", {"code": Person(alice.user, "", pending).code()})
    assert totp.device_of(alice.user) == pending
    notice = Notice.objects.get(user=alice.user)
    assert (notice.kind, notice.data["replaced"]) == ("factor-added", True)


def test_new_recovery_codes_are_told_of_and_so_is_the_use_of_one(alice: Person, clock: Clock) -> None:
    codes = recovery.new_codes(alice.user)
    browser = new_client()
    give_password(browser, "alice", alice.password)
    browser.post("/sign-in/second-factor?with=recovery-code", {"code": codes[0]})
    assert sorted(told(alice)) == ["new-device", "recovery-code-used"]
    assert Notice.objects.get(kind="recovery-code-used").data == {"left": 9}
    alice.client.post("/account/recovery-codes")
    assert told(alice)[-1] == "factor-added"
    assert not [code for code in codes if code in str(Notice.objects.values_list("data"))]


def test_a_reset_says_who_did_it(alice: Person) -> None:
    forget_factors(Origin("person", "x", "adam", "203.0.113.9"), alice.user, "at-once")
    notice = Notice.objects.get(user=alice.user)
    assert (notice.kind, notice.data["by"], notice.address) == ("factors-reset", "adam", "203.0.113.9")


def test_ten_wrong_guesses_are_told_of_once(alice: Person, clock: Clock) -> None:
    """M04: ten wrong ones and the owner knows; whoever goes on is not heard of each time."""
    for _ in range(5):
        assert new_client().post("/sign-in", {"username": "alice", "password": "wrong"}).status_code == 422
    assert told(alice) == [], "five may be a bad day"
    clock.advance(throttle.ACCOUNT.window + 1)
    for _ in range(5):
        assert new_client().post("/sign-in", {"username": "alice", "password": "wrong"}).status_code == 422
    assert told(alice) == ["throttled"]
    clock.advance(601)
    for _ in range(5):
        assert new_client().post("/sign-in", {"username": "alice", "password": "wrong"}).status_code == 422
    assert told(alice) == ["throttled"]


def test_guessing_at_nobody_tells_nobody(db: None, clock: Clock) -> None:
    for _ in range(2):
        for _ in range(5):
            new_client().post("/sign-in", {"username": "nobody-here", "password": "wrong"})
        clock.advance(301)
    assert not Notice.objects.exists()


# --- seeing them ------------------------------------------------------------------------------------------------------


def test_unseen_ones_come_first_and_are_counted_until_seen(alice: Person, settings: Any) -> None:
    settings.ROOT_URLCONF = "broker.urls"
    for kind in (Notice.Kind.PASSWORD_CHANGED, Notice.Kind.NEW_DEVICE):
        notices.tell(TESTS, alice.user, kind)
    Notice.objects.filter(kind="new-device").update(seen_at=Notice.objects.first().created_at)  # type: ignore[union-attr]
    page = alice.client.get("/account/notices").content.decode()
    assert page.index("Password changed") < page.index("A new browser")
    assert '1<span class="visually-hidden"> unseen' in page
    assert alice.client.get("/account/notices/seen").status_code == 405
    assert alice.client.post("/account/notices/seen")["Location"] == "/account/notices"
    assert notices.unseen(alice.user) == 0
    assert "unseen" not in alice.client.get("/account/notices").content.decode()


def test_hostile_words_in_a_notice_are_inert(alice: Person) -> None:
    """X09."""
    notices.tell(TESTS, alice.user, Notice.Kind.NEW_DEVICE, device=HOSTILE, by=HOSTILE)
    page = alice.client.get("/account/notices").content.decode()
    assert "<script>alert" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize("kind", Notice.Kind.values)
def test_every_kind_has_words_with_and_without_its_particulars(kind: str) -> None:
    for data in ({}, {"factor": "totp", "device": "Firefox on Linux", "connector": "id", "by": "adam"}):
        words = words_of(kind, dict(data))
        assert words.title[0].isupper()
        assert words.text
        assert not words.text.endswith(".")
        assert words.advice
        assert "None" not in words.text


def test_old_notices_go(alice: Person, clock: Clock) -> None:
    notices.tell(TESTS, alice.user, Notice.Kind.NEW_DEVICE)
    Notice.objects.update(created_at=clock.now - notices.KEEP)
    clock.advance(1)
    notices.drop_old()
    assert told(alice) == []


# --- the mail's text --------------------------------------------------------------------------------------------------


def test_a_mail_says_what_when_and_where_and_leads_nowhere_but_home(alice: Person, settings: Any) -> None:
    """X12, L24: its only address is ours from the settings; nothing in it signs anybody in."""
    notices.tell(Origin(address="203.0.113.9"), alice.user, Notice.Kind.NEW_DEVICE, device="Firefox on Linux")
    text = text_of(Notice.objects.select_related("user").get())
    assert "Firefox on Linux" in text
    assert "203.0.113.9" in text
    assert re.search(r"When: +\d{4}-\d\d-\d\d \d\d:\d\d UTC", text)
    assert "If not: sign out everywhere" in text
    assert re.findall(r"https?://\S+", text) == [f"{settings.POSTERN.url}/account"]


def test_the_host_of_a_request_is_in_no_mail(alice: Person, clock: Clock, settings: Any) -> None:
    """X12: a forged Host is a 400, a forged X-Forwarded-Host is not read."""
    browser = new_client()
    give_password(browser, "alice", alice.password)
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Server": "evil.example"}
    browser.post("/sign-in/second-factor", {"code": alice.code()}, headers=forged)
    notice = Notice.objects.select_related("user").get(kind="new-device")
    assert "evil.example" not in text_of(notice)
    assert new_client().get("/sign-in", headers={"Host": "evil.example"}).status_code == 400


def test_hostile_text_adds_no_line_to_a_mail(alice: Person) -> None:
    User.objects.filter(pk=alice.user.pk).update(full_name=HOSTILE)
    notices.tell(system(HOSTILE), alice.user, Notice.Kind.NEW_DEVICE, device=HOSTILE)
    text = text_of(Notice.objects.select_related("user").get())
    assert "\r" not in text
    assert not [line for line in text.splitlines() if line.startswith("Bcc")]
    assert "\u202e" not in text


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "alice",
            "a@b\r\nBcc: x@y",
            "a@b, c@d",
            "Alice <a@b.c>",
            "a@b.c\n",
            "a b@c",
            "@b",
            "a@",
            '"a"@b',
            "a@b\x00",
        ),
        "=?utf-8?q?eve=40evil.example=2C?=x@example.com",  # read as an encoded word, two addresses
        "=?utf-8?q?x=0D=0ABcc=3A?=@example.com",
        *("a\x7f@b.c", "\u212aate@b.c"),
    ],
)
def test_a_mail_goes_to_one_plain_address_or_nowhere(settings: Any, address: str) -> None:
    from pydantic import SecretStr

    changed = {"smtp_url": SecretStr("smtp://127.0.0.1:9"), "mail_from": "postern@example.com"}
    settings.POSTERN = settings.POSTERN.model_copy(update=changed)
    with pytest.raises(MailFailed, match="no address") as caught:
        send(address, "subject", "text")
    assert caught.value.for_good


@pytest.mark.parametrize("address", ["alice.o'neil+x=y@mail.example.com", "a?b@c.d", "a_b-c@x-y.example"])
def test_usual_addresses_are_plain(address: str) -> None:
    assert re.fullmatch(MAIL_ADDRESS, address)


def test_without_a_server_nothing_waits_to_be_mailed(alice: Person) -> None:
    User.objects.filter(pk=alice.user.pk).update(email="alice@example.com")
    alice.user.refresh_from_db()
    notices.tell(TESTS, alice.user, Notice.Kind.NEW_DEVICE)
    assert Notice.objects.get().mail_due_at is None
