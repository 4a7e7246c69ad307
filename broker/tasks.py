"""The housekeeping: each task is one call of a service. What has expired is refused with or without it."""

from __future__ import annotations

from django.conf import settings

from broker.celery import app

EVERY_MINUTE = 60.0
MAIL_EVERY = 10.0


@app.task(name="accounts.expire_sessions")  # type: ignore[untyped-decorator]
def expire_login_sessions() -> None:
    """Login sessions that have run out are marked as ended, and what nobody needs any more is dropped."""
    from accounts.services.login_sessions import expire_sessions

    expire_sessions()


@app.task(name="broker.drop_stale")  # type: ignore[untyped-decorator]
def drop_stale() -> None:
    """Launch codes and enrolments that are long over are removed."""
    from broker.services import housekeeping

    housekeeping.drop_stale()


@app.task(name="accounts.carry_out_resets")  # type: ignore[untyped-decorator]
def carry_out_resets() -> None:
    """Resets of second factors whose time has come take effect."""
    from accounts.services.factor_resets import carry_out_due

    carry_out_due()


@app.task(name="accounts.mail_notices")  # type: ignore[untyped-decorator]
def mail_notices() -> None:
    """Notices that are due are mailed; what cannot be handed in waits longer each time."""
    from accounts.services.notice_mail import mail_due

    mail_due()


@app.task(name="broker.reread_directories")  # type: ignore[untyped-decorator]
def reread_directories() -> None:
    """People of a directory who have something open are read anew; where it tells changes by itself, for safety."""
    from broker.audit.origin import system
    from broker.services.directory import reread_all

    reread_all(system("directory"))


app.conf.beat_schedule = {
    task.name: {"task": task.name, "schedule": EVERY_MINUTE, "options": {"expires": EVERY_MINUTE}}
    for task in (expire_login_sessions, drop_stale, carry_out_resets)
}
app.conf.beat_schedule[mail_notices.name] = {
    "task": mail_notices.name,
    "schedule": MAIL_EVERY,
    "options": {"expires": MAIL_EVERY},
}
app.conf.beat_schedule[reread_directories.name] = {
    "task": reread_directories.name,
    "schedule": settings.POSTERN.directory_interval,
    "options": {"expires": settings.POSTERN.directory_interval},
}
