"""What the bench of provisioning needs in the database: a client with a token, its people, a session for each.

`python -m bench._scim_seed URI COUNT` runs in an installation's environment. It makes the app `wiki`, the client
`okta`, and COUNT people as that client provisions them; then it prints its token, and (id, cookie of the app session)
of each, as one JSON line.
"""

from __future__ import annotations

import json
import os
import sys

from bench._directory_seed import _session_of

DOCUMENTS = """
kind: role
metadata: {{name: bench-engineer}}
spec: {{allow: {{app_labels: {{env: [dev, test]}}, methods: [GET, POST], paths: ['/*']}}}}
---
{{kind: app, metadata: {{name: wiki, labels: {{env: dev, team: bench}}}}, spec: {{uri: '{uri}'}}}}
---
{{kind: scim, metadata: {{name: okta}}}}
"""
BINDING = "{kind: role_binding, spec: {role: bench-engineer, group: bench}}"


def main() -> int:
    """Seed."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")
    import django

    django.setup()
    print(json.dumps(_seed(sys.argv[1], int(sys.argv[2]))), flush=True)
    return 0


def _seed(uri: str, count: int) -> tuple[str, list[tuple[str, str]]]:
    from accounts.models import User
    from broker.audit.origin import system
    from broker.services import scim_groups, scim_users
    from broker.services.apply import Source, apply
    from broker.services.scim_tokens import client_of

    origin = system("bench")
    apply(origin, None, [Source("bench.yaml", DOCUMENTS.format(uri=uri))])
    token = _token()
    client = client_of(origin, token)
    people = [
        scim_users.create_user(client, scim_users.UserRecord(f"person-{number}@example.com", active=True)).id
        for number in range(count)
    ]
    scim_groups.create_kept_group(client, scim_groups.GroupChange("bench", members=frozenset(people)))
    apply(origin, None, [Source("bench.yaml", BINDING)])
    return token, [(ident, _session_of(User.objects.get(pk=ident), "local")) for ident in people]


def _token() -> str:
    """As the service makes it, which would ask for an administrator."""
    from accounts.models import Connector
    from broker.services.scim_tokens import PREFIX
    from broker.tokens import digest, new_token

    token = new_token(PREFIX)
    Connector.objects.filter(name="okta").update(token_hash=digest(token))
    return token


if __name__ == "__main__":
    sys.exit(main())
