"""Mailing notices: one after another, later and later while the server does not take them, for a day."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from accounts.mail import MailFailed, may_be_sent, send
from accounts.models import Notice
from accounts.notice_words import plain, words_of

log = logging.getLogger(__name__)

AT_ONCE = 20
FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(hours=1)
GIVE_UP = timedelta(days=1)


def mail_due() -> int:
    """Send what is due, the oldest first; answers how many were. Stops at the first that the server does not take."""
    sent = 0
    while may_be_sent() and sent < AT_ONCE:
        notice = _next(timezone.now())
        if notice is None or not _mail(notice):
            break
        sent += 1
    return sent


def text_of(notice: Notice) -> str:
    """The mail's text: what happened, when, from where, and what to do. No link in it lets anybody in."""
    words = words_of(notice.kind, notice.data)
    by = plain(str(notice.data.get("by", "")))
    facts = [("When", f"{notice.created_at:%Y-%m-%d %H:%M} UTC"), ("From", plain(notice.address)), ("By", by)]
    lines = [f"{name + ':':<6} {value}" for name, value in facts if value]
    return "\n".join(
        [
            f"{plain(notice.user.display_name)},",
            "",
            f"{words.text}.",
            "",
            *lines,
            "",
            f"If that is as it should be, there is nothing to do. If not: {words.advice}.",
            "",
            f"Your account: {settings.POSTERN.url}/account",
            "This mail was sent by a program. It never asks for a password or a code.",
            "",
        ]
    )


def _next(now: datetime) -> Notice | None:
    """The notice to send now, with its next try noted first, so that no two workers send the same one."""
    for notice in Notice.objects.filter(mail_due_at__lte=now).select_related("user").order_by("mail_due_at")[:AT_ONCE]:
        wait = min(FIRST_WAIT * 2**notice.mail_tries, LONGEST_WAIT)
        mine = Notice.objects.filter(pk=notice.pk, mail_due_at=notice.mail_due_at)
        if mine.update(mail_due_at=now + wait, mail_tries=F("mail_tries") + 1):
            return notice
    return None


def _mail(notice: Notice) -> bool:
    """Send one; False if the server is not to be asked for more now."""
    words = words_of(notice.kind, notice.data)
    row = Notice.objects.filter(pk=notice.pk)
    try:
        send(notice.user.email, f"{settings.POSTERN.name}: {words.title}", text_of(notice))
    except MailFailed as error:
        over = error.for_good or timezone.now() - notice.created_at > GIVE_UP
        log.warning("notice %s not mailed%s: %s", notice.pk, ", given up" if over else "", error.message)
        if over:
            row.update(mail_due_at=None)
        return over
    row.update(mail_due_at=None, mailed_at=timezone.now())
    return True
