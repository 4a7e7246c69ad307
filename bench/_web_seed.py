"""What the web benches need in the database: people who may open the app, their sessions, and taking one away.

`python -m bench._web_seed URI COUNT` runs in an installation's environment. It makes the app `wiki` and COUNT users
with an app session each, prints their cookies as one JSON line, then ends the login session named by number on each
line it reads, and answers with the Unix time of that commit.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta
from typing import Any

DOCUMENTS = """
kind: role
metadata: {{name: bench-engineer}}
spec: {{allow: {{app_labels: {{env: [dev, test]}}, methods: [GET, POST], paths: ['/*']}}}}
---
{{kind: group, metadata: {{name: bench}}}}
---
{{kind: role_binding, spec: {{role: bench-engineer, group: bench}}}}
---
{{kind: app, metadata: {{name: wiki, labels: {{env: dev, team: bench}}}}, spec: {{uri: '{uri}'}}}}
"""


def main() -> int:
    """Seed, then obey."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")
    import django

    django.setup()
    from django.db import transaction

    from accounts.services.login_sessions import end_login_session
    from broker.audit.origin import system

    logins, cookies = seed(sys.argv[1], int(sys.argv[2]))
    print(json.dumps(cookies), flush=True)
    for line in sys.stdin:
        at: list[float] = []
        with transaction.atomic():
            transaction.on_commit(lambda at=at: at.append(time.time()))  # type: ignore[misc]
            end_login_session(system("bench"), logins[int(line)], "revoked")
        print(at[0], flush=True)
    return 0


def seed(uri: str, count: int) -> tuple[list[Any], list[str]]:
    """The app, the people, and their login sessions with the cookies of their app sessions."""
    from django.db import transaction
    from django.utils import timezone

    from accounts.models import Group, LoginSession, Membership, User
    from broker.audit.event import UserCreated
    from broker.audit.log import record
    from broker.audit.origin import system
    from broker.models import AccessSession, App
    from broker.services.apply import Source, apply
    from broker.tokens import digest, new_token

    apply(system("bench"), None, [Source("bench.yaml", DOCUMENTS.format(uri=uri))])
    app, group, now = App.objects.get(name="wiki"), Group.objects.get(name="bench"), timezone.now()
    until = now + timedelta(hours=8)
    logins, cookies = [], []
    with transaction.atomic():
        for number in range(count):
            user = User.objects.create(username=f"bench-{new_token('').lower()[:8]}-{number}")
            Membership.objects.create(user=user, group=group)
            record(system("bench"), UserCreated(id=str(user.pk), label=user.username))
            session = LoginSession.objects.create(
                user=user,
                token_hash=digest(new_token("")),
                created_at=now,
                last_seen_at=now,
                expires_at=until,
                mfa_at=now,
                amr=["pwd", "otp"],
            )
            token = new_token("")
            AccessSession.objects.create(
                protocol="app",
                credential="cookie",
                token_hash=digest(token),
                login_session_id=session.pk,
                user_id=user.pk,
                user_name=user.username,
                resource_id=app.pk,
                resource_name=app.name,
                started_at=now,
                last_used_at=now,
                expires_at=until,
            )
            logins.append(session)
            cookies.append(f"__Host-postern-app={token}")
    return logins, cookies


if __name__ == "__main__":
    sys.exit(main())
