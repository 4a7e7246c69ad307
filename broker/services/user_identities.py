"""Who users are elsewhere, as administrators change it."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from accounts.models import Identity, User
from accounts.services.unlinking import take_off
from broker.audit.origin import Origin
from broker.errors import NotFound
from broker.policy import Subject
from broker.services.administrators import one_must_remain
from broker.services.decisions import require
from broker.services.delegation import OwnRights, refusal
from broker.services.impact import Impact


class _Raised(Exception):
    """It would raise rights; leaves the transaction so that it is undone before the refusal is recorded."""


def unlink_identity(
    origin: Origin, subject: Subject | None, name: str, identity_id: UUID, *, dry_run: bool = False
) -> int:
    """An account elsewhere is no longer this user's, and gives them nothing; answers how many sessions end.

    Raises Denied, NotFound, Conflict. The user stays, even without another way in. What goes with it may also have
    limited them: a group by which a role denies something is not a delegated administrator's to take off.
    """
    require(origin, subject, "user.update", name)
    rights, impact = OwnRights(origin, subject), Impact()
    try:
        with transaction.atomic():
            with one_must_remain():
                user = User.objects.select_for_update().filter(username=name).first()
                identity = Identity.objects.filter(user=user, pk=identity_id).select_related("connector").first()
                if user is None or identity is None:
                    raise NotFound("there is no such identity", "it may be gone already")
                take_off(origin, user, identity)
                if why := rights.raised_by_change():
                    raise _Raised(why)
                ends = impact.count()
            if dry_run:
                transaction.set_rollback(True)
    except _Raised as raised:
        raise refusal(origin, subject, "user.update", name, str(raised)) from None
    return ends
