"""Fills a new installation for the bench `issue`: roles, servers, a person; prints the token of each of their CLIs.

The arguments are the thumbprints of the keys that these tokens are bound to.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import timedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")

ROLES = 100
HELD = 20
SERVERS = 1000


def documents() -> str:
    """Roles `role-N`, each for one environment; servers spread over these; alice in the group that holds 20 roles."""
    parts = [{"kind": "group", "metadata": {"name": "ops"}}]
    parts.append({"kind": "user", "metadata": {"name": "alice"}, "spec": {"groups": ["ops"]}})
    for number in range(ROLES):
        allow = {"server_labels": {"env": f"env-{number}"}, "logins": ["root", "deploy"]}
        parts.append({"kind": "role", "metadata": {"name": f"role-{number}"}, "spec": {"allow": allow}})
    for number in range(HELD):
        parts.append({"kind": "role_binding", "spec": {"role": f"role-{number}", "group": "ops"}})
    for number in range(SERVERS):
        metadata = {"name": f"server-{number}", "labels": {"env": f"env-{number % ROLES}", "tier": "db"}}
        address = f"10.0.{number // 250}.{number % 250 + 1}:22"
        parts.append({"kind": "server", "metadata": metadata, "spec": {"addr": address}})
    return "\n---\n".join(json.dumps(part) for part in parts)


def main(thumbprints: Sequence[str]) -> None:
    """Fill the database and print one token a line."""
    import django

    django.setup()
    from django.utils import timezone

    from accounts.models import LoginSession, User
    from broker.audit.origin import system
    from broker.services.apply import Source, apply
    from broker.tokens import digest, new_token

    apply(system("bench"), None, [Source("bench", documents())])
    now = timezone.now()
    for number, thumbprint in enumerate(thumbprints):
        token = new_token("ptn_cli_")
        LoginSession.objects.create(
            user=User.objects.get(username="alice"),
            kind=LoginSession.Kind.CLI,
            token_hash=digest(token),
            key_thumbprint=thumbprint,
            created_at=now,
            last_seen_at=now,
            expires_at=now + timedelta(hours=1),
            mfa_at=now,
            amr=["otp", "pwd"],
            device_name=f"bench {number}",
        )
        print(token)


if __name__ == "__main__":
    main(sys.argv[1:])
