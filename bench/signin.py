"""Signing in: how many whole sign-ins a second of CPU gives, and whether the time tells which names are known.

A whole sign-in is four requests on one connection: the form, name and password, the form of the second factor, the
code. `per_core_per_s` is sign-ins ÷ CPU seconds of the web process, all threads; the database is SQLite, so its work is
in it. Password hashing is taken apart by its cost: the process hashes with argon2 at its lowest cost (some 0.1 ms), and
nothing else is different. `with_directory_per_core_per_s` is the same for local people where a directory is connected,
each costing it a search and a bind.

For `name_timing_ms` argon2 costs some 10 ms (8 MiB, one lane): enough that a hash left out would be seen, and little
enough that its own spread hides nothing. 500 wrong passwords for each kind of name, in turns, on each door: the form
without a directory (local and unknown names) and with one (local, unknown, and names that the directory knows, before
their first sign-in and after). The figure is the largest difference of medians on any door.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

from django_otp.oath import hotp

from bench._signin_seed import PASSWORD
from bench.figure import Figure
from bench.issue import Web
from tests.real.product import ROOT
from tests.real.slapd import Slapd, group, password_of, person
from tests.real.valkey import Valkey

HOST = "postern.localhost:8080"
SIGN_INS, WARM_UP = 300, 20
SAMPLES, PEOPLE = 500, 130
GUESSES_EACH = 4
"""Wrong passwords of one name: the fifth would fill its budget."""

LOWEST, VISIBLE = "1,64,1", "1,8192,1"


def run() -> Iterable[Figure]:
    """Sign-ins for each second of CPU, and the timing of names on both doors."""
    names = [f"corp-{number}" for number in range(2 * PEOPLE)]
    with Slapd(entries=[*(person(name) for name in names), group("staff", *names)]) as slapd:
        with _broker(LOWEST, SIGN_INS + WARM_UP) as (web, seeds):
            yield Figure("signin", "per_core_per_s", _per_core(web, seeds), "1/s", 50, "higher")
        with _broker(LOWEST, SIGN_INS + WARM_UP, slapd.url) as (web, seeds):
            yield Figure("signin", "with_directory_per_core_per_s", _per_core(web, seeds), "1/s", None, "higher")
        with _broker(VISIBLE, PEOPLE) as (web, _):
            local = _largest_difference(web, ["local", "unknown"])
        with _broker(VISIBLE, PEOPLE, slapd.url) as (web, _):
            for name in names[PEOPLE:]:
                _first_step(web, name, password_of(name), "192.0.2.1")
            both = _largest_difference(web, ["local", "unknown", "new", "corp"])
    yield Figure("signin", "name_timing_local_ms", local, "ms")
    yield Figure("signin", "name_timing_ldap_ms", both, "ms")
    yield Figure("signin", "name_timing_ms", max(local, both), "ms", 5)


@contextlib.contextmanager
def _broker(cost: str, people: int, *directory: str) -> Iterator[tuple[Web, list[str]]]:
    """A web process on a UNIX socket, with that many local people; the seeds of their authenticator apps."""
    with tempfile.TemporaryDirectory(prefix="ptn") as scratch, Valkey(Path(scratch)) as valkey:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("POSTERN_")}
        environ = {
            **clean,
            "POSTERN_DATA_DIR": f"{scratch}/data",
            "POSTERN_REDIS_URL": valkey.url,
            "POSTERN_URL": f"http://{HOST}",
            "BENCH_ARGON2": cost,
        }
        _python(environ, "manage.py", "setup")
        seeds: list[str] = json.loads(_python(environ, "-m", "bench._signin_seed", str(people), *directory))
        web = Web(environ, Path(scratch) / "web.sock", "bench._signin_web:application")
        try:
            yield web, seeds
        finally:
            web.stop()


class Browser:
    """One browser: a connection, cookies, an address."""

    def __init__(self, web: Web, address: str) -> None:
        self._connection = http.client.HTTPConnection(HOST)
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.connect(str(web.path))
        self._address = address
        self.cookies: dict[str, str] = {}

    def get(self, path: str) -> str:
        """The token that the page's form holds."""
        _, _, page = self._ask("GET", path, "")
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found, page
        return found[1]

    def post(self, path: str, fields: dict[str, str]) -> tuple[int, str]:
        """The status, and where it leads."""
        status, location, _ = self._ask("POST", path, urlencode(fields))
        return status, location

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: str) -> tuple[int, str, str]:
        headers = {
            "Host": HOST,
            "Origin": f"http://{HOST}",
            "X-Real-Ip": self._address,
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        for header in answer.headers.get_all("Set-Cookie") or []:
            name, _, rest = header.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        return answer.status, answer.headers.get("Location", ""), answer.read().decode()


def _per_core(web: Web, seeds: Sequence[str]) -> float:
    for number in range(WARM_UP):
        _sign_in(web, number, seeds[number])
    cpu = web.cpu_seconds()
    for number in range(WARM_UP, WARM_UP + SIGN_INS):
        _sign_in(web, number, seeds[number])
    return SIGN_INS / (web.cpu_seconds() - cpu)


def _sign_in(web: Web, number: int, seed: str) -> None:
    browser = Browser(web, f"198.51.{number // 250}.{number % 250}")
    fields = {"username": f"local-{number}", "password": PASSWORD, "csrfmiddlewaretoken": browser.get("/sign-in")}
    assert browser.post("/sign-in", fields) == (302, "/sign-in/second-factor")
    token = browser.get("/sign-in/second-factor")
    code = f"{hotp(base64.b32decode(seed), int(time.time()) // 30):06d}"
    status, _ = browser.post("/sign-in/second-factor", {"code": code, "csrfmiddlewaretoken": token})
    assert status == 302
    assert "__Host-postern" in browser.cookies
    browser.close()


def _first_step(web: Web, name: str, password: str, address: str) -> float:
    """Milliseconds that the answer to name and password takes."""
    browser = Browser(web, address)
    fields = {"username": name, "password": password, "csrfmiddlewaretoken": browser.get("/sign-in")}
    began = time.perf_counter()
    status, _ = browser.post("/sign-in", fields)
    took = (time.perf_counter() - began) * 1000
    assert status == (302 if password != WRONG else 422), (name, status)
    browser.close()
    return took


WRONG = "wrong and long enough"


def _largest_difference(web: Web, kinds: Sequence[str]) -> float:
    """Of the medians, over all kinds of names."""
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    for kind in kinds:  # whatever is made at the first use
        _first_step(web, _name(kind, PEOPLE - 1), WRONG, "192.0.2.2")
    for number in range(SAMPLES):
        for place in range(len(kinds)):
            kind = kinds[(place + number) % len(kinds)]
            address = f"203.{number % 200}.{place}.{number // 200}"
            took[kind].append(_first_step(web, _name(kind, number // GUESSES_EACH), WRONG, address))
    medians = [statistics.median(values) for values in took.values()]
    return max(medians) - min(medians)


def _name(kind: str, number: int) -> str:
    """`new` are people of the directory who have not been here, `corp` those who have."""
    if kind == "new":
        return f"corp-{number}"
    return f"corp-{number + PEOPLE}" if kind == "corp" else f"{kind}-{number}"


def _python(environ: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE, text=True, timeout=120
    )
    return done.stdout
