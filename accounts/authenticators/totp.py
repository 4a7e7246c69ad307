"""Codes of an authenticator app, each accepted once, whoever asks at the same time."""

from __future__ import annotations

import base64
import re
import secrets

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import TotpDevice, User

AMR = "otp"
SEED_BYTES = 20


def device_of(user: User) -> TotpDevice | None:
    """The authenticator app in use, if one is enrolled."""
    return TotpDevice.objects.filter(user=user, confirmed=True).first()


def pending_device_of(user: User) -> TotpDevice | None:
    """The authenticator app about to be enrolled."""
    return TotpDevice.objects.filter(user=user, confirmed=False).first()


def new_device(user: User) -> TotpDevice:
    """A device with a new seed, not yet confirmed; it takes the place of any other that waits."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        TotpDevice.objects.filter(user=user, confirmed=False).delete()
        seed = base64.b32encode(secrets.token_bytes(SEED_BYTES)).decode()
        return TotpDevice.objects.create(user=user, name="authenticator app", seed=seed, confirmed=False)


def use(user: User, typed: str) -> bool:
    """Use up the code `typed` of the app in use; False if it is wrong, too old or used, or if there is no app."""
    return _use(TotpDevice.objects.filter(user=user, confirmed=True), typed)


def is_right(device: TotpDevice | None, typed: str) -> bool:
    """The same for a device that is not in use yet."""
    return device is not None and _use(TotpDevice.objects.filter(pk=device.pk), typed)


def _use(devices: QuerySet[TotpDevice], typed: str) -> bool:
    """Whether the code belongs to the one device there; its row is locked meanwhile."""
    code = re.sub(r"\s", "", typed)
    if not re.fullmatch(r"[0-9]{6}", code):
        return False
    with transaction.atomic():
        locked = next(iter(devices.select_for_update()), None)
        return locked is not None and locked.verify_token(code)
