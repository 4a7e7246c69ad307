"""Passkeys: registering, using, naming and removing them. A challenge belongs to one place and is good once."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import throttle
from accounts.authenticators import passkey, totp
from accounts.authenticators.passkey import Answer, Cloned, NotAccepted
from accounts.devices import device_name
from accounts.models import LoginSession, Notice, Passkey, PasskeyChallenge, SignIn, User
from accounts.services.guessing import Wrong
from accounts.services.notices import tell
from accounts.throttle import Door
from broker.audit.event import (
    Event,
    FactorEnrolled,
    FactorRemoved,
    FactorRenamed,
    PasskeyCloned,
    SignInFailed,
    SignInThrottled,
)
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Conflict, Invalid, NotFound
from broker.tokens import same

FACTOR = "passkey"
CHALLENGE_BYTES = 32
CHALLENGE_TTL = timedelta(minutes=5)
WAITING = 8
"""So many challenges may wait in one place (tabs); the oldest give way."""

MOST = 20
"""Passkeys of one user."""

LONGEST_NAME = 64
NOT_KNOWN = "this passkey is not accepted here"
TOO_LATE = "this took too long, or was answered already"
Purpose = PasskeyChallenge.Purpose


@dataclass(frozen=True, slots=True)
class Place:
    """Where a challenge is asked and must be answered: a sign-in, a login session, or a browser nobody is known in."""

    purpose: Purpose
    sign_in: SignIn | None = None
    login_session: LoginSession | None = None
    browser_hash: str = ""

    def waiting(self) -> QuerySet[PasskeyChallenge]:
        """The challenges that wait here."""
        return PasskeyChallenge.objects.filter(
            purpose=self.purpose,
            sign_in=self.sign_in,
            login_session=self.login_session,
            browser_hash=self.browser_hash,
            expires_at__gt=timezone.now(),
        )


def registration_options(place: Place, user: User) -> dict[str, Any]:
    """What the browser is told in order to make a passkey for `user`. Raises Conflict if there are too many."""
    if Passkey.objects.filter(user=user).count() >= MOST:
        raise Conflict(f"you have {MOST} passkeys", "remove one that you no longer use")
    return passkey.registration_options(user, _challenge(place))


def request_options(place: Place, user: User | None) -> dict[str, Any]:
    """What the browser is told in order to use a passkey of `user`, or of whoever it knows."""
    return passkey.request_options(_challenge(place), user)


def made_here(place: Place, user: User, text: str, name: str, user_agent: str) -> Passkey:
    """The passkey that the browser made, checked and not yet stored; `name` or what it looks like. Raises Wrong."""
    given = clean_name(name)
    try:
        answer, challenge = _taken(place, text)
        made = passkey.registered(user, challenge, answer)
    except NotAccepted:
        raise Wrong("this passkey could not be registered", "try again, or use another one") from None
    made.name = given or _name_for(made, user_agent)
    return made


@transaction.atomic
def store(origin: Origin, made: Passkey) -> None:
    """The passkey is one of its user's from now on. Raises Wrong if it is somebody's already."""
    user = User.objects.select_for_update().get(pk=made.user_id)
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        raise Wrong("this passkey is registered already", "use another one") from None
    tell(origin, user, Notice.Kind.FACTOR_ADDED, factor=FACTOR, name=made.name)
    record(origin, FactorEnrolled(id=str(user.pk), label=user.username, factor=FACTOR, called=made.name))


def prove(origin: Origin, door: Door, place: Place, user: User | None, text: str) -> Passkey:
    """The passkey, of `user` if one is given, that answered what was asked here. Raises Wrong or Throttled."""
    paid = throttle.pay(door.passkey_keys())
    try:
        answer, challenge = _taken(place, text)
        found = passkey.use(challenge, answer, user)
    except Wrong as error:
        _refused(origin, paid, user, "challenge", error)
    except Cloned as error:
        with transaction.atomic():
            about = {"id": str(error.used.user_id), "label": error.used.user.username}
            counts = {"called": error.used.name, "known": error.used.sign_count, "given": error.given}
            tell(origin, error.used.user, Notice.Kind.PASSKEY_COPIED, name=error.used.name)
            record(origin, PasskeyCloned(**about, **counts))
        _refused(origin, paid, error.used.user, error.why, Wrong(NOT_KNOWN, "use another way"))
    except NotAccepted as error:
        _refused(origin, paid, user, error.why, Wrong(NOT_KNOWN, "use another one, or another way"))
    throttle.pay_back(paid)
    return found


def passkeys_of(user: User) -> list[Passkey]:
    """A user's passkeys, the oldest first."""
    return list(Passkey.objects.filter(user=user, confirmed=True).order_by("created_at"))


def passkey_of(user: User, ident: UUID) -> Passkey:
    """One of them. Raises NotFound for another's as for none."""
    found: Passkey | None = Passkey.objects.filter(user=user, pk=ident).first()
    if found is None:
        raise NotFound("you have no such passkey", "it may have been removed already")
    return found


@transaction.atomic
def rename(origin: Origin, user: User, ident: UUID, name: str) -> None:
    """Call a passkey something else. Raises NotFound, Invalid."""
    named = clean_name(name)
    if not named:
        raise Invalid("a passkey needs a name", "say where it is: phone, laptop, key ring")
    found = passkey_of(user, ident)
    before, found.name = found.name, named
    found.save(update_fields=["name"])
    about: dict[str, Any] = {"id": str(user.pk), "label": user.username, "factor": FACTOR}
    record(origin, FactorRenamed(**about, called=named, before=before))


@transaction.atomic
def remove(origin: Origin, user: User, ident: UUID) -> str:
    """It opens nothing any more; answers its name. Sessions stay. Raises NotFound, Conflict for the last factor."""
    User.objects.select_for_update().get(pk=user.pk)
    found = passkey_of(user, ident)
    others = Passkey.objects.filter(user=user, confirmed=True).exclude(pk=found.pk)
    if not others.exists() and totp.device_of(user) is None:
        raise Conflict("this is your only second factor", "add another passkey or an authenticator app first")
    found.delete()
    tell(origin, user, Notice.Kind.FACTOR_REMOVED, factor=FACTOR, name=found.name)
    record(origin, FactorRemoved(id=str(user.pk), label=user.username, factor=FACTOR, called=found.name))
    return str(found.name)


def clean_name(name: str) -> str:
    """A name as people may give it: in one line, printable, not too long. Raises Invalid."""
    named = " ".join(name.split())
    if len(named) > LONGEST_NAME:
        raise Invalid("this name is too long", f"{LONGEST_NAME} characters are enough")
    if not named.isprintable():
        raise Invalid("this name has signs in it that cannot be shown", "use letters, digits and spaces")
    return named


def _challenge(place: Place) -> bytes:
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    PasskeyChallenge.objects.create(
        purpose=place.purpose,
        sign_in=place.sign_in,
        login_session=place.login_session,
        browser_hash=place.browser_hash,
        state={"challenge": challenge.hex()},
        expires_at=timezone.now() + CHALLENGE_TTL,
    )
    newest = place.waiting().order_by("-expires_at").values_list("pk", flat=True)[:WAITING]
    place.waiting().exclude(pk__in=list(newest)).delete()
    return challenge


def _taken(place: Place, text: str) -> tuple[Answer, bytes]:
    """The answer and the challenge it is for, used up before the answer is looked at. Raises Wrong, NotAccepted."""
    answer = passkey.read(text)
    for row in place.waiting():
        challenge = bytes.fromhex(row.state["challenge"])
        if same(passkey.encoded(challenge), answer.challenge):
            deleted, _ = PasskeyChallenge.objects.filter(pk=row.pk).delete()
            if deleted:  # of several at once, one
                return answer, challenge
    raise Wrong(TOO_LATE, "try again")


def _refused(origin: Origin, paid: throttle.Guess, user: User | None, why: str, error: Wrong) -> NoReturn:
    about: dict[str, Any] = {"id": str(user.pk) if user else "", "label": user.username if user else "", "step": FACTOR}
    events: list[Event] = [SignInFailed(**about, why=why)]
    if paid.blocks:
        events.append(SignInThrottled(**about, retry_after=math.ceil(paid.retry_after)))
    with transaction.atomic():
        record(origin, *events)
    raise error from None


def _name_for(made: Passkey, user_agent: str) -> str:
    match passkey.kind_of(made):
        case "security key":
            return "Security key"
        case "phone":
            return "Phone"
        case _:
            return device_name(user_agent)
