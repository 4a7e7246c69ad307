"""Invites and enrolment: one link, one person, one device."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts import cookies
from accounts.authenticators import password, recovery, totp
from accounts.models import Invite, LoginSession, RecoveryCode, TotpDevice, User
from accounts.services.invites import Link, accept_invite, invite_user, new_sign_in, reset_factors
from accounts.services.users import create_user, disable_user
from broker.errors import Conflict, NotFound
from broker.models import AuditEvent
from broker.supervise.preflight import take_lock
from tests.conftest import TESTS, Clock, Person, new_client

pytestmark = pytest.mark.django_db(transaction=True)
WORDS = "tall ships sail at noon"


@pytest.fixture
def dora(db: None) -> User:
    return create_user(TESTS, "dora")


def path_of(link: Link) -> str:
    return link.url.removeprefix("http://postern.localhost:8080")


def at_enrolment(user: User) -> Client:
    """A browser that has come by an invite and chosen a password."""
    browser = new_client()
    browser.post(path_of(invite_user(TESTS, user)))
    browser.post("/sign-in/new-password", {"new_password": WORDS})
    assert browser.get("/sign-in/enrol").status_code == 200
    return browser


def code_of(user: User) -> str:
    return Person(user, "", TotpDevice.objects.get(user=user, confirmed=False)).code()


# --- the link ---------------------------------------------------------------------------------------------------------


def test_looking_at_a_link_does_not_use_it_up(dora: User) -> None:
    """A preview or a scanner of mails must not spend it."""
    path = path_of(invite_user(TESTS, dora))
    for _ in range(3):
        assert new_client().get(path).status_code == 200
        assert new_client().head(path).status_code == 200
    assert new_client().post(path).status_code == 302


def test_a_link_works_once(dora: User) -> None:
    path = path_of(invite_user(TESTS, dora))
    assert new_client().post(path).status_code == 302
    for method in (new_client().get, new_client().post):
        assert method(path).status_code == 404


def test_of_ten_at_once_one_gets_in(dora: User) -> None:
    token = path_of(invite_user(TESTS, dora)).rsplit("/", 1)[1]

    def accept(_: int) -> bool:
        try:
            accept_invite(TESTS, token)
        except NotFound:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(accept, range(10))) == 1


def test_a_link_ends_after_an_hour(dora: User, clock: Clock) -> None:
    path = path_of(invite_user(TESTS, dora))
    clock.advance(3601)
    assert new_client().post(path).status_code == 404


def test_a_newer_link_kills_the_older(dora: User) -> None:
    """L24."""
    old, new = path_of(invite_user(TESTS, dora)), path_of(invite_user(TESTS, dora))
    assert new_client().post(old).status_code == 404
    assert new_client().post(new).status_code == 302


@pytest.mark.parametrize("token", ["x", "a" * 43, "a" * 3000, "%00", "é", "' OR 1=1"])
def test_a_link_nobody_made_sounds_like_one_that_is_over(dora: User, token: str) -> None:
    assert new_client().get(f"/invite/{token}").status_code == 404


def test_a_disabled_user_cannot_use_a_link_and_gets_none(dora: User) -> None:
    """S10."""
    path = path_of(invite_user(TESTS, dora))
    disable_user(TESTS, dora)
    assert new_client().post(path).status_code == 404
    with pytest.raises(Conflict):
        invite_user(TESTS, dora)


def test_the_link_is_stored_hashed_and_leaks_by_no_referer(dora: User) -> None:
    """S14, S15."""
    link = invite_user(TESTS, dora)
    token = link.url.rsplit("/", 1)[1]
    assert len(token) * 5.95 > 128
    assert token not in repr(link)
    assert token not in str(list(Invite.objects.values()))
    assert token not in str([(e.data, e.search) for e in AuditEvent.objects.all()])
    page = new_client().get(path_of(link))
    assert page["Referrer-Policy"] == "strict-origin"
    assert token not in page.content.decode(), "the form posts to where it is"


# --- enrolling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("new", ["short", "password1234", "dora", "dora dora", "111111111111", "x" * 1025, ""])
def test_a_weak_password_is_refused(dora: User, new: str) -> None:
    browser = new_client()
    browser.post(path_of(invite_user(TESTS, dora)))
    assert browser.post("/sign-in/new-password", {"new_password": new}).status_code == 422
    assert browser.get("/sign-in/enrol")["Location"] == "/sign-in/new-password"


def test_a_wrong_first_code_enrols_nothing(dora: User, clock: Clock) -> None:
    browser = at_enrolment(dora)
    assert browser.post("/sign-in/enrol", {"code": "000000"}).status_code == 422
    assert totp.device_of(dora) is None
    dora.refresh_from_db()
    assert not dora.has_usable_password()


def test_whose_device_it_is_does_not_come_from_the_request(dora: User, alice: Person, clock: Clock) -> None:
    """M10."""
    browser = at_enrolment(dora)
    answer = browser.post(
        "/sign-in/enrol", {"code": code_of(dora), "user": "alice", "user_id": str(alice.user.pk), "email": "a@b.c"}
    )
    assert answer.status_code == 200
    assert totp.device_of(alice.user) == alice.device
    assert totp.device_of(dora) is not None
    dora.refresh_from_db()
    assert dora.email == ""


def test_two_enrolments_at_once_leave_one_device_and_no_orphan(dora: User, clock: Clock) -> None:
    """M21."""
    browser = at_enrolment(dora)
    code, token = code_of(dora), browser.cookies[cookies.SIGN_IN].value

    def enrol(_: int) -> int:
        try:
            tab = new_client()
            tab.cookies[cookies.SIGN_IN] = token
            return tab.post("/sign-in/enrol", {"code": code}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(enrol, range(8)))
    assert answers.count(200) == 1
    assert list(TotpDevice.objects.filter(user=dora).values_list("confirmed", flat=True)) == [True]
    assert RecoveryCode.objects.filter(user=dora).count() == 10


def test_a_seed_is_shown_in_the_sign_in_that_made_it_alone(dora: User, clock: Clock) -> None:
    """M09: who has only the first factor, and waits in a sign-in of their own, must not learn what the owner enrols."""

    def first_step_done() -> Client:
        browser = new_client()
        browser.cookies[cookies.SIGN_IN] = new_sign_in(TESTS, dora, via="ldap:corp", amr=("pwd",))
        return browser

    thief, owner = first_step_done(), first_step_done()
    clock.advance(1)
    assert owner.get("/sign-in/enrol").status_code == 200
    seed, code = TotpDevice.objects.get(user=dora).seed, code_of(dora)
    page = thief.get("/sign-in/enrol").content.decode()
    assert " ".join(seed[at : at + 4] for at in range(0, len(seed), 4)).lower() not in page
    assert owner.post("/sign-in/enrol", {"code": code}).status_code != 200, "the seed that was scanned is gone"
    assert not TotpDevice.objects.filter(user=dora, confirmed=True).exists()
    owner.get("/sign-in/enrol")
    assert owner.post("/sign-in/enrol", {"code": code_of(dora)}).status_code == 200


def test_a_seed_shown_in_an_abandoned_enrolment_is_not_used_again(dora: User, clock: Clock) -> None:
    """M09: who looked over the shoulder the first time has nothing."""
    at_enrolment(dora)
    old = TotpDevice.objects.get(user=dora).seed
    clock.advance(60)
    at_enrolment(dora)
    assert TotpDevice.objects.get(user=dora).seed != old


def test_reloading_the_page_keeps_the_seed(dora: User, clock: Clock) -> None:
    browser = at_enrolment(dora)
    old = TotpDevice.objects.get(user=dora).seed
    browser.get("/sign-in/enrol")
    assert TotpDevice.objects.get(user=dora).seed == old


def test_the_first_code_cannot_be_used_again_to_sign_in(dora: User, clock: Clock) -> None:
    """M03."""
    browser = at_enrolment(dora)
    code = code_of(dora)
    browser.post("/sign-in/enrol", {"code": code})
    browser.post("/sign-in/recovery-codes", {"saved": "yes"})
    other = new_client()
    other.post("/sign-in", {"username": "dora", "password": WORDS})
    assert other.post("/sign-in/second-factor", {"code": code}).status_code == 422


def test_recovery_codes_are_shown_once(dora: User, clock: Clock) -> None:
    """M13."""
    browser = at_enrolment(dora)
    page = browser.post("/sign-in/enrol", {"code": code_of(dora)}).content.decode()
    codes = re.findall(r"<li>([0-9a-z-]{19})</li>", page)
    assert len(codes) == 10
    again = browser.get("/sign-in/recovery-codes").content.decode()
    assert not any(code in again for code in codes)
    other = re.findall(r"<li>([0-9a-z-]{19})</li>", browser.post("/sign-in/recovery-codes").content.decode())
    assert len(other) == 10
    assert not recovery.use(dora, codes[0])
    assert not LoginSession.objects.exists(), "nothing opens before the codes are saved"


# --- links for people who are here already ----------------------------------------------------------------------------


def test_an_invite_changes_nothing_until_the_second_factor_is_proved(alice: Person, clock: Clock) -> None:
    """L24: a link is no way around the second factor."""
    browser = new_client()
    browser.post(path_of(invite_user(TESTS, alice.user)))
    assert browser.post("/sign-in/new-password", {"new_password": WORDS})["Location"] == "/sign-in/second-factor"
    alice.user.refresh_from_db()
    assert password.is_right(alice.user, alice.password)
    assert alice.client.get("/account").status_code == 200
    assert browser.get("/sign-in/enrol")["Location"] == "/sign-in/second-factor"
    assert browser.post("/sign-in/second-factor", {"code": alice.code()}).status_code == 302
    alice.user.refresh_from_db()
    assert password.is_right(alice.user, WORDS)
    assert alice.client.get("/account").status_code == 302, "other sessions end with the password"
    assert totp.device_of(alice.user) == alice.device


def test_a_reset_forgets_the_factor_and_the_link_still_wants_the_password(alice: Person, clock: Clock) -> None:
    """L24, M18."""
    codes = recovery.new_codes(alice.user)
    link = reset_factors(TESTS, alice.user)
    assert not recovery.use(alice.user, codes[0])
    assert new_client().post("/sign-in", {"username": "alice", "password": alice.password}).status_code == 422
    browser = new_client()
    assert browser.post(path_of(link))["Location"] == "/sign-in/password"
    assert browser.get("/sign-in/enrol")["Location"] == "/sign-in/password"
    assert browser.post("/sign-in/password", {"password": "wrong"}).status_code == 422
    assert browser.post("/sign-in/password", {"password": alice.password})["Location"] == "/sign-in/enrol"
    browser.get("/sign-in/enrol")
    assert browser.post("/sign-in/enrol", {"code": code_of(alice.user)}).status_code == 200
    names = list(AuditEvent.objects.order_by("seq").values_list("name", flat=True))
    assert "user.factors.reset" in names
    assert names.index("user.factors.reset") < names.index("user.factor.enrolled")


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_one_link_and_tells_the_log(db: None) -> None:
    out = StringIO()
    call_command("invite", "root-admin", stdout=out)
    assert re.fullmatch(r"http://postern\.localhost:8080/invite/[0-9A-Za-z]{43}\n", out.getvalue())
    event = AuditEvent.objects.get(name="user.invited")
    assert (event.actor_kind, event.resource_name) == ("system", "root-admin")


def test_the_command_links_to_where_postern_was_started(
    db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bin/run --port 9000` says the port on its command line only, and `manage.py invite` must not miss it."""
    monkeypatch.delenv("POSTERN_URL")
    settings.POSTERN = settings.POSTERN.model_copy(update={"data_dir": tmp_path})
    out, told = StringIO(), StringIO()
    with take_lock(tmp_path / "up.lock", "http://postern.localhost:9000"):
        call_command("invite", "root-admin", stdout=out, stderr=told)
    assert out.getvalue().startswith("http://postern.localhost:9000/invite/")
    assert "works once, until" in told.getvalue()
    monkeypatch.setenv("POSTERN_URL", "http://postern.localhost:8080")
    call_command("invite", "root-admin", stdout=(said := StringIO()))
    assert said.getvalue().startswith("http://postern.localhost:8080/invite/")


def test_the_command_lets_in_who_is_locked_out(alice: Person, clock: Clock) -> None:
    """O28: no phone, no password, disabled: the machine's owner still gets alice in."""
    disable_user(TESTS, alice.user)
    out = StringIO()
    call_command("invite", "alice", "--reset", stdout=out)
    browser = new_client()
    assert browser.post(out.getvalue().strip().removeprefix("http://postern.localhost:8080")).status_code == 302
    assert browser.post("/sign-in/new-password", {"new_password": WORDS})["Location"] == "/sign-in/enrol"


def test_the_command_refuses_a_bad_name_in_words(db: None) -> None:
    with pytest.raises(CommandError, match="cannot be a user name"):
        call_command("invite", "Bad Name")
    assert not AuditEvent.objects.exists()
