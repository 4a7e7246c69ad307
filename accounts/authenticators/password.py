"""Passwords: argon2, at the same cost whether or not there is such a user."""

from __future__ import annotations

import functools
import secrets
import threading

from django.contrib.auth import password_validation
from django.contrib.auth.hashers import make_password, verify_password
from django.core.exceptions import ValidationError

from accounts.models import User
from broker.errors import Invalid, Problem

LONGEST = 1024
"""Characters; what is longer is wrong without being hashed."""

AMR = "pwd"

# Each hash takes 100 MiB: whoever sends many at once waits in line.
_queue = threading.BoundedSemaphore(4)


@functools.cache
def _nobodys() -> str:
    return make_password(secrets.token_urlsafe(32))


def is_right(user: User | None, typed: str) -> bool:
    """Whether `typed` is the password of `user`. Nobody's password is compared too, so that the time tells nothing."""
    known = user is not None and user.has_usable_password()
    encoded = user.password if user is not None and known else _nobodys()
    with _queue:
        right, outdated = verify_password(typed[:LONGEST], encoded)
    if not (right and known and len(typed) <= LONGEST) or user is None:
        return False
    if outdated:
        User.objects.filter(pk=user.pk, password=encoded).update(password=hashed(typed))
    return True


def hashed(password: str) -> str:
    """What is stored for a password."""
    with _queue:
        return make_password(password)


def check(password: str, user: User) -> None:
    """Raises Invalid with words if `password` is too easy to guess for `user`."""
    if len(password) > LONGEST:
        raise Invalid("the password is too long", f"{LONGEST} characters are enough")
    try:
        password_validation.validate_password(password, user)
    except ValidationError as error:
        raise Invalid("this password is too weak", problems=[Problem(text) for text in error.messages]) from None
