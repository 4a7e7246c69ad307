"""What the bench of directories needs in the database: the connector, and people of the directory with a session each.

`python -m bench._directory_seed URI LDAP_URL COUNT` runs in an installation's environment. It makes the app `wiki`, the
connector `corp`, and brings in COUNT people of the directory by the function that sign-in uses after the bind; then it
prints the cookies of their app sessions as one JSON line.
"""

from __future__ import annotations

import json
import os
import sys
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
---
kind: ldap
metadata: {{name: corp}}
spec:
  urls: ['{url}']
  bind_dn: {reader}
  bind_password: {password}
  user_search: {{base: '{people}'}}
  group_search: {{base: '{groups}'}}
  groups: [{{claim: groups, groups: ['{{{{external.groups}}}}']}}]
  create_users: true
"""


def main() -> int:
    """Seed."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")
    import django

    django.setup()
    print(json.dumps(_seed(sys.argv[1], sys.argv[2], int(sys.argv[3]))), flush=True)
    return 0


def _seed(uri: str, url: str, count: int) -> list[str]:
    from accounts.directory.known import directory_of
    from accounts.models import Connector
    from accounts.services.directory_arrival import arrival_of
    from accounts.services.identities import arrive
    from broker.audit.origin import system
    from broker.services.apply import Source, apply
    from tests.real.slapd import GROUPS, PEOPLE, READER, READER_PASSWORD

    text = DOCUMENTS.format(uri=uri, url=url, reader=READER, password=READER_PASSWORD, people=PEOPLE, groups=GROUPS)
    apply(system("bench"), None, [Source("bench.yaml", text)])
    connector = Connector.objects.get(name="corp")
    directory = directory_of(connector)
    cookies = []
    for number in range(count):
        entry = directory.find(f"person-{number}")
        assert entry is not None
        arrival = arrival_of(connector, directory, entry)
        cookies.append(_session_of(arrive(system("bench"), arrival, directory.spec.creation).user, connector.source))
    return cookies


def _session_of(user: Any, via: str) -> str:
    from django.db import transaction
    from django.utils import timezone

    from accounts.models import LoginSession
    from broker.models import AccessSession, App
    from broker.tokens import digest, new_token

    now, token = timezone.now(), new_token("")
    until = now + timedelta(hours=8)
    with transaction.atomic():
        login = LoginSession.objects.create(
            user=user,
            token_hash=digest(new_token("")),
            via=via,
            created_at=now,
            last_seen_at=now,
            expires_at=until,
            mfa_at=now,
            amr=["pwd", "otp"],
        )
        AccessSession.objects.create(
            protocol="app",
            credential="cookie",
            token_hash=digest(token),
            login_session_id=login.pk,
            user_id=user.pk,
            user_name=user.username,
            resource_id=App.objects.get(name="wiki").pk,
            resource_name="wiki",
            started_at=now,
            last_used_at=now,
            expires_at=until,
        )
    return f"__Host-postern-app={token}"


if __name__ == "__main__":
    sys.exit(main())
