"""What the logout bench needs beside the web benches' people: the provider that their sessions came from.

`python -m bench._logout_seed URI COUNT ISSUER` does as `bench._web_seed` does; session number N is `session-N` there.
It ends nothing: the provider does.
"""

from __future__ import annotations

import json
import os
import sys

from bench._web_seed import seed

CLIENT_ID, CONNECTOR = "postern", "corp"


def main() -> int:
    """Seed, and stay until told to go."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")
    import django

    django.setup()
    from django.db import transaction

    from accounts.models import Connector, ProviderSession

    logins, cookies = seed(sys.argv[1], int(sys.argv[2]))
    issuer = sys.argv[3]
    spec = {"issuer": issuer, "client_id": CLIENT_ID}
    document = {"kind": "oidc", "metadata": {"name": CONNECTOR}, "spec": spec}
    with transaction.atomic():
        connector = Connector.objects.create(kind="oidc", name=CONNECTOR, document=document)
        for number, login in enumerate(logins):
            there = {"issuer": issuer, "subject": f"person-{number}", "sid": f"session-{number}"}
            ProviderSession.objects.create(login_session=login, connector=connector, **there)
    print(json.dumps(cookies), flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
