"""What every test stands on: a data directory of its own (one per xdist worker), made before Django reads its settings.

`POSTERN_TEST_DATABASE=postgresql://…` runs the same tests on PostgreSQL. The cast: alice may, bob may less, charlie may not.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
from pathlib import Path

DATA_DIR = Path(tempfile.mkdtemp(prefix="postern-test-"))
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith("POSTERN_") and name != "POSTERN_TEST_DATABASE"]:
    del os.environ[_name]
os.environ["POSTERN_DATA_DIR"] = str(DATA_DIR)
os.environ["POSTERN_URL"] = "http://postern.localhost:8080"
if os.environ.get("POSTERN_TEST_DATABASE"):
    os.environ["POSTERN_DATABASE_URL"] = os.environ["POSTERN_TEST_DATABASE"]
os.environ["DJANGO_SETTINGS_MODULE"] = "broker.settings"

from broker import keystore

keystore.create(DATA_DIR / "keys")
(DATA_DIR / "keys" / "secret_key").write_text(secrets.token_urlsafe(50))

import django
from django.conf import settings

if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: threads with a connection each must meet the same locks as in production.
    settings.DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
django.setup()
