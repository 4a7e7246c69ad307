"""What the bench of sign-in needs in the database: people with a password and an authenticator app, and a directory.

`python -m bench._signin_seed COUNT [LDAP_URL]` prints the seeds of the authenticator apps as one JSON line. The people
are called `local-N`, their password is PASSWORD, hashed at the cost that `bench._signin_web` reads.
"""

from __future__ import annotations

import json
import os
import sys

PASSWORD = "the old lighthouse keeper walks home"

CONNECTOR = """
kind: ldap
metadata: {{name: corp}}
spec:
  urls: ['{url}']
  bind_dn: {reader}
  bind_password: {password}
  user_search: {{base: '{people}'}}
  group_search: {{base: '{groups}'}}
  create_users: true
"""


def main() -> int:
    """Seed."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")
    import django

    django.setup()
    from bench import _signin_web  # noqa: F401 - the cost

    print(json.dumps(_seed(int(sys.argv[1]))), flush=True)
    if len(sys.argv) > 2:
        _connect(sys.argv[2])
    return 0


def _seed(count: int) -> list[str]:
    from accounts.authenticators import password, totp
    from accounts.models import TotpDevice, User

    encoded, seeds = password.hashed(PASSWORD), []
    for number in range(count):
        user = User.objects.create(username=f"local-{number}", password=encoded)
        seeds.append(totp.new_device(user).seed)
    TotpDevice.objects.update(confirmed=True)
    return seeds


def _connect(url: str) -> None:
    from broker.audit.origin import system
    from broker.services.apply import Source, apply
    from tests.real.slapd import GROUPS, PEOPLE, READER, READER_PASSWORD

    text = CONNECTOR.format(url=url, reader=READER, password=READER_PASSWORD, people=PEOPLE, groups=GROUPS)
    apply(system("bench"), None, [Source("bench.yaml", text)])


if __name__ == "__main__":
    sys.exit(main())
