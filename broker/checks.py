"""Start-up checks: a missing secret stops the start; none is ever made silently beside existing data."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register(deploy=True)
def secrets_are_there(**_: Any) -> list[CheckMessage]:
    """The signing key of Django and the key ring must exist."""
    problems: list[CheckMessage] = []
    if len(settings.SECRET_KEY) < 40:
        problems.append(
            Error(
                f"{settings.POSTERN.keys_dir}/secret_key is missing or too short",
                hint="restore it from your backup; a new installation gets one from `manage.py setup`",
                id="postern.E001",
            )
        )
    return problems
