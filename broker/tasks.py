"""The housekeeping: each task is one call of a service. What has expired is refused with or without it."""

from __future__ import annotations

from broker.celery import app

EVERY_MINUTE = 60.0


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


app.conf.beat_schedule = {
    task.name: {"task": task.name, "schedule": EVERY_MINUTE, "options": {"expires": EVERY_MINUTE}}
    for task in (expire_login_sessions, drop_stale)
}
