"""Signing in, step by step. Until the last step there is no login session, so nothing can open too early.

Password, provider or directory, then second factor; a passkey is both. By an invite: a new password (or, after a reset,
the old one), then the second factor is enrolled, or asked for if there is one. What an invite changes takes effect only
once the second factor is proved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, cast

from django.db import transaction
from django.utils import timezone

from accounts import connectors
from accounts.authenticators import passkey, password, recovery, second_factor, totp
from accounts.devices import device_name
from accounts.elsewhere import vouched_for
from accounts.models import Identity, Invite, LoginSession, Notice, ProviderSession, SignIn, TotpDevice, User
from accounts.services import directory_sign_in, passkeys
from accounts.services.factor_resets import carry_out_due
from accounts.services.factors import device_to_enrol, enrol_totp, forget_pending, make_recovery_codes
from accounts.services.guessing import WRONG_CODE, WRONG_PASSWORD, Wrong, guess
from accounts.services.identities import Refused
from accounts.services.invites import new_sign_in
from accounts.services.login_sessions import ended_events, start
from accounts.services.notices import tell
from accounts.services.passwords import store_password
from accounts.throttle import Door
from broker.audit.event import RecoveryCodeUsed, SignInFailed
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Conflict
from broker.tokens import digest, new_token

FEDERATED = "fed"
"""In `amr`: an OpenID Provider vouches for the person."""

FIRST_FACTORS = frozenset({password.AMR, FEDERATED, *passkey.AMR})


LOCAL = "local"
"""`via` of a sign-in by a password or passkey that Postern itself keeps."""


OVER = ("this sign-in is over or has gone on elsewhere", "begin again")


class Overtaken(Conflict):
    """The sign-in went on in another tab, or is over."""


class Step(StrEnum):
    """What a sign-in wants next."""

    SET_PASSWORD = "set-password"  # noqa: S105 - a name
    PASSWORD = "password"  # noqa: S105 - a name
    ENROL = "enrol"
    SECOND_FACTOR = "second-factor"
    RECOVERY_CODES = "recovery-codes"
    FINISH = "finish"


def begin(origin: Origin, door: Door, typed: str, next: str) -> str:
    """The first step: name and password. Answers the token for the next one. Raises Wrong or Throttled.

    Who is disabled or has no second factor hears the same as who mistyped: an administrator's link is what helps.
    """
    asked = directory_sign_in.look_up(door.name)
    vouched: list[Identity] = []

    def check() -> bool:
        user = asked.user
        right = password.is_right(user, typed)  # compared for everybody, so that the time tells nothing
        if identity := directory_sign_in.prove(origin, asked, typed):
            vouched.append(identity)
            return True
        return right and user is not None and user.is_active and second_factor.has_any(user)

    door = replace(door, name=asked.key)
    guess(origin, door, asked.user, "password", check, asked.words, asked.refusals)
    if vouched:
        identity = vouched[0]
        try:
            return begin_vouched(origin, identity.user, via=identity.connector.source, amr=(password.AMR,), next=next)
        except Refused:
            raise Wrong(asked.words) from None
    return new_sign_in(origin, cast(User, asked.user), amr=(password.AMR,), next=next)


def begin_vouched(
    origin: Origin,
    user: User,
    *,
    via: str,
    amr: tuple[str, ...],
    next: str,
    mfa_at: datetime | None = None,
    provider: Mapping[str, str] | None = None,
    id_token: str | None = None,
) -> str:
    """The first step when a connector vouches for `user` (who is enabled): answers the token for the next one.

    `mfa_at` is when a trusted provider asked for a second factor; ours is then not asked (`amr` holds `mfa`).
    `provider` holds connector (id), issuer, subject (the `sub` claim) and sid of the session there, and `flow_hash`.
    Raises Refused if the connector was switched off while it was asked.
    """
    state: dict[str, object] = {}
    if provider is not None:
        state["provider"] = dict(provider)
    if mfa_at is not None:
        state["mfa_at"], amr = mfa_at.isoformat(), (*amr, "mfa")
    with transaction.atomic():
        if not connectors.hold_if_on(via):
            raise Refused("connector-disabled", "this way to sign in was closed", "begin again from the sign-in page")
        return new_sign_in(origin, user, via=via, amr=amr, next=next, state=state, id_token=id_token)


def begin_with_passkey(origin: Origin, door: Door, browser_hash: str, answer: str, next: str) -> str:
    """Sign in by a passkey alone, which is two factors; answers the token to finish with. Raises Wrong or Throttled.

    Who comes in through a provider or directory is sent there: a passkey must not outlive their account in it.
    """
    place = passkeys.Place(passkeys.Purpose.SIGN_IN, browser_hash=browser_hash)
    used = passkeys.prove(origin, door, place, None, answer)
    user: User = used.user
    if carry_out_due(user):
        raise Wrong(passkeys.NOT_KNOWN, "ask an administrator for the link of your reset")
    if vouched_for(user):
        about = {"id": str(user.pk), "label": user.username, "step": passkeys.FACTOR}
        with transaction.atomic():
            record(origin, SignInFailed(**about, why="vouched-for-elsewhere"))  # type: ignore[arg-type]
        raise Wrong("your account is kept elsewhere, so this passkey is your second step", "begin with your name")
    return new_sign_in(origin, user, amr=(passkey.amr_of(used), passkey.VERIFIED), next=next)


def find(token: str) -> SignIn | None:
    """The sign-in under way that `token` names."""
    live = SignIn.objects.filter(token_hash=digest(token), expires_at__gt=timezone.now(), user__disabled_at=None)
    return next(iter(live.select_related("user")), None)  # `first` would order what is one row


def step_of(sign_in: SignIn) -> Step:
    """The one step that may be taken now; it follows from what was proved so far."""
    user = sign_in.user
    proved = frozenset(sign_in.amr)
    if password.AMR not in proved if sign_in.invite else FIRST_FACTORS.isdisjoint(proved):
        reset = sign_in.invite is not None and sign_in.invite.purpose == Invite.Purpose.RESET
        return Step.PASSWORD if reset else Step.SET_PASSWORD
    if second_factor.AMR.isdisjoint(proved):
        may_enrol = sign_in.invite is not None or sign_in.via != LOCAL
        return Step.ENROL if may_enrol and not second_factor.has_any(user) else Step.SECOND_FACTOR
    return Step.RECOVERY_CODES if sign_in.state.get("codes_shown") else Step.FINISH


def set_password(sign_in: SignIn, new: str) -> None:
    """Choose a password by an invite; it takes effect with the second factor. Raises Invalid if it is weak."""
    password.check(new, sign_in.user)
    encoded = password.hashed(new)
    with _locked(sign_in, Step.SET_PASSWORD) as row:
        row.state = {**row.state, "password": encoded}
        _proved(row, password.AMR)


def prove_password(origin: Origin, door: Door, sign_in: SignIn, typed: str) -> None:
    """Give the password that one had before the reset. Raises Wrong or Throttled."""
    asked = directory_sign_in.look_up(sign_in.user.username)
    check = partial(directory_sign_in.is_right, origin, asked, typed)
    guess(origin, door, sign_in.user, "password", check, WRONG_PASSWORD, asked.refusals)
    with _locked(sign_in, Step.PASSWORD) as row:
        _proved(row, password.AMR)


def prove_totp(origin: Origin, door: Door, sign_in: SignIn, code: str) -> None:
    """Give a code of the authenticator app. Raises Wrong or Throttled."""
    user = sign_in.user
    guess(origin, door, user, "totp", lambda: totp.use(user, code), WRONG_CODE)
    with _locked(sign_in, Step.SECOND_FACTOR) as row:
        _take_effect(origin, row)
        _proved(row, totp.AMR)


def prove_passkey(origin: Origin, door: Door, sign_in: SignIn, answer: str) -> None:
    """Use a passkey or security key as the second factor. Raises Wrong or Throttled."""
    used = passkeys.prove(origin, door, _place_to_prove(sign_in), sign_in.user, answer)
    with _locked(sign_in, Step.SECOND_FACTOR) as row:
        _take_effect(origin, row)
        _proved(row, passkey.amr_of(used))


def passkey_to_prove(sign_in: SignIn) -> dict[str, Any]:
    """What the browser is told in order to use a passkey as the second factor."""
    with _locked(sign_in, Step.SECOND_FACTOR) as row:
        return passkeys.request_options(_place_to_prove(row), row.user)


def prove_recovery_code(origin: Origin, door: Door, sign_in: SignIn, code: str) -> None:
    """Give a recovery code, which is then used up. Raises Wrong or Throttled."""
    user = sign_in.user
    guess(origin, door, user, "recovery-code", lambda: recovery.use(user, code), WRONG_CODE)
    with _locked(sign_in, Step.SECOND_FACTOR) as row:
        _take_effect(origin, row)
        _proved(row, recovery.AMR)
        tell(origin, user, Notice.Kind.RECOVERY_CODE_USED, left=recovery.left(user))
        record(origin, RecoveryCodeUsed(id=str(user.pk), label=user.username, left=recovery.left(user)))


def device(sign_in: SignIn) -> TotpDevice:
    """The authenticator app that this sign-in is to enrol: its own, so that no other is shown the seed."""
    with _locked(sign_in, Step.ENROL) as row:
        found = device_to_enrol(row.user, since=row.created_at, mine=row.state.get("device", ""))
        if row.state.get("device") != str(found.pk):
            row.state = {**row.state, "device": str(found.pk)}
            row.save(update_fields=["state"])
        return found


def enrol(origin: Origin, sign_in: SignIn, code: str) -> list[str]:
    """Confirm the authenticator app with its first code; answers the recovery codes, told this once. Raises Wrong."""
    with _locked(sign_in, Step.ENROL) as row:
        enrol_totp(origin, row.user, code, since=row.created_at, mine=row.state.get("device", ""))
        return _enrolled(origin, row, totp.AMR)


def passkey_to_enrol(sign_in: SignIn) -> dict[str, Any]:
    """What the browser is told in order to make the passkey that this sign-in is to enrol."""
    with _locked(sign_in, Step.ENROL) as row:
        return passkeys.registration_options(_place_to_enrol(row), row.user)


def enrol_passkey(origin: Origin, sign_in: SignIn, answer: str, user_agent: str) -> list[str]:
    """Register the passkey the browser made; answers the recovery codes, told this once. Raises Wrong."""
    made = passkeys.made_here(_place_to_enrol(sign_in), sign_in.user, answer, "", user_agent)
    with _locked(sign_in, Step.ENROL) as row:
        passkeys.store(origin, made)
        forget_pending(row.user)
        return _enrolled(origin, row, passkey.amr_of(made))


def new_recovery_codes(origin: Origin, sign_in: SignIn) -> list[str]:
    """Other codes, if the first ones were lost before they could be saved."""
    with _locked(sign_in, Step.RECOVERY_CODES):
        return make_recovery_codes(origin, sign_in.user)


def codes_saved(sign_in: SignIn) -> None:
    """The person says they have kept the recovery codes."""
    with _locked(sign_in, Step.RECOVERY_CODES) as row:
        row.state = {name: value for name, value in row.state.items() if name != "codes_shown"}
        _proved(row)


def finish(
    origin: Origin,
    sign_in: SignIn,
    user_agent: str,
    replaces: LoginSession | None = None,
    *,
    new_device: bool = False,
) -> tuple[LoginSession, str]:
    """Turn the finished sign-in into a login session with a token of its own; the session it replaces ends.

    `new_device`: the browser is not known to the account, which the person is told.
    """
    with _locked(sign_in, Step.FINISH) as row:
        # Before anything else: whoever switches a connector off, or signs out there, does not wait for the user's row.
        if not SignIn.objects.filter(pk=row.pk).delete()[0]:
            raise Overtaken(*OVER)
        user = row.user
        token = new_token("")
        given = row.state.get("mfa_at")
        session, started = start(
            origin,
            user,
            token=token,
            kind=LoginSession.Kind.BROWSER,
            via=row.via,
            amr=[*row.amr, "mfa"],
            mfa_at=datetime.fromisoformat(given) if given else timezone.now(),
            user_agent=user_agent,
            device_name=device_name(user_agent),
        )
        if provider := row.state.get("provider"):
            ProviderSession.objects.create(
                login_session=session,
                connector_id=provider["connector"],
                issuer=provider["issuer"],
                subject=provider["subject"],
                sid=provider.get("sid", ""),
                flow_hash=provider.get("flow_hash", ""),
                id_token=row.id_token or "",
            )
        if new_device:
            tell(origin, user, Notice.Kind.NEW_DEVICE, device=session.device_name, via=session.via)
        record(origin, *ended_events([replaces] if replaces else [], "replaced"), started)
        return session, token


def cancel(sign_in: SignIn) -> None:
    """Give up a sign-in."""
    sign_in.delete()


@contextmanager
def _locked(sign_in: SignIn, step: Step) -> Iterator[SignIn]:
    """The row of a sign-in, locked in a transaction and still wanting `step`; raises Overtaken if it does not.

    What is proved meanwhile is known to the caller's copy once it is committed.
    """
    with transaction.atomic():
        # The user's row first, as every service does that ends sign-ins: so nobody waits for each other.
        list(User.objects.select_for_update().filter(pk=sign_in.user.pk).order_by().values_list("pk"))
        rows = SignIn.objects.filter(pk=sign_in.pk, user__disabled_at=None).select_related("user")
        row = next(iter(rows), None)
        if row is None or step_of(row) != step:
            raise Overtaken(*OVER)
        yield row
    sign_in.amr, sign_in.state = row.amr, row.state


def _proved(row: SignIn, *amr: str) -> None:
    row.amr = [*row.amr, *amr]
    row.save(update_fields=["amr", "state"])


def _enrolled(origin: Origin, row: SignIn, amr: str) -> list[str]:
    _take_effect(origin, row)
    row.state = {**row.state, "codes_shown": True}
    _proved(row, amr)
    return make_recovery_codes(origin, row.user)


def _place_to_prove(sign_in: SignIn) -> passkeys.Place:
    return passkeys.Place(passkeys.Purpose.SECOND_FACTOR, sign_in=sign_in)


def _place_to_enrol(sign_in: SignIn) -> passkeys.Place:
    return passkeys.Place(passkeys.Purpose.REGISTER, sign_in=sign_in)


def _take_effect(origin: Origin, row: SignIn) -> None:
    """The password that was chosen by an invite becomes the user's, now that the second factor is proved."""
    encoded = row.state.pop("password", "")
    if encoded:
        store_password(origin, row.user, encoded, going_on=row)


def actor(origin: Origin, user: User) -> Origin:
    """The origin of what somebody does who is proving to be `user`."""
    return Origin(
        actor_kind="person",
        actor_id=str(user.pk),
        actor_name=user.username,
        address=origin.address,
        request_id=origin.request_id,
    )
