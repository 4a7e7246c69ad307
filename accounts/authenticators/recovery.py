"""Recovery codes: ten, shown once, each good for once."""

from __future__ import annotations

import re
import secrets

from django.utils import timezone

from accounts.models import RecoveryCode, User
from broker.tokens import digest

AMR = "rc"
COUNT = 10
GROUPS, LETTERS = 4, 4

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: 5 bits a letter, none mistaken for another
_MISREAD = str.maketrans({"o": "0", "i": "1", "l": "1"})


def new_codes(user: User) -> list[str]:
    """Make ten codes in place of all earlier ones, told this once: only hashes stay. Call it in a transaction."""
    codes = ["-".join(_letters() for _ in range(GROUPS)) for _ in range(COUNT)]
    RecoveryCode.objects.filter(user=user).delete()
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, code_hash=_hash(code)) for code in codes)
    return codes


def use(user: User | None, typed: str) -> bool:
    """Use up the code `typed`; of many at the same time exactly one gets True."""
    if user is None or len(typed) > 100:
        return False
    unused = RecoveryCode.objects.filter(user=user, code_hash=_hash(typed), used_at=None)
    return unused.update(used_at=timezone.now()) == 1


def left(user: User) -> int:
    """How many codes are still good."""
    return RecoveryCode.objects.filter(user=user, used_at=None).count()


def _letters() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(LETTERS))


def _hash(code: str) -> str:
    return digest(re.sub(r"[\s-]", "", code.lower()).translate(_MISREAD))
