"""How long one decision takes: 1,000 roles, 10,000 resources, a subject who holds 20 of the roles, no result cache."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Iterable

from bench.figure import Figure
from broker.documents import RoleSpec, parse_mapping
from broker.policy import (
    Attempt,
    Context,
    GrantSet,
    Lock,
    Locks,
    Login,
    Permit,
    Resource,
    Subject,
    compile_role,
    decide,
)

ROLES, RESOURCES, HELD, ATTEMPTS = 1_000, 10_000, 20, 40_000
TARGET_US = 10.0
NOW = 1_800_000_000.0
TEAMS = tuple(f"team-{number}" for number in range(40))
ENVS = ("prod", "stage", "dev", "lab")
REGIONS = ("eu-west", "eu-north", "us-east", "ap-south")


def run() -> Iterable[Figure]:
    """The time of one `decide()` in microseconds, over web requests and SSH sessions of all kinds of outcome."""
    dice = random.Random(7)
    roles = [_role(dice, number) for number in range(ROLES)]
    resources = [_resource(dice, number) for number in range(RESOURCES)]
    subject = _subject()
    held = dice.sample(roles, HELD)
    grants = GrantSet(compile_role(role, subject.traits, via="group:ops") for role in held)
    locks = Locks([Lock(str(n), "user", f"user-{n}", None, "left") for n in range(50)])
    # Each attempt is made just before it is decided, as it is for a request.
    attempts = (_attempt(dice, subject, dice.choice(resources)) for _ in range(ATTEMPTS))
    microseconds, permits = _measure(attempts, grants, locks)
    assert 0.2 < permits / ATTEMPTS < 0.8, "a bench of nothing but permits or denials says little"
    cuts = statistics.quantiles(microseconds, n=100)
    yield Figure("decide", "p50_us", cuts[49], "us", TARGET_US)
    yield Figure("decide", "p99_us", cuts[98], "us")


def _measure(attempts: Iterable[Attempt], grants: GrantSet, locks: Locks) -> tuple[list[float], int]:
    times: list[float] = []
    permits = 0
    clock = time.perf_counter_ns
    gc.collect()
    gc.disable()
    try:
        for attempt in attempts:
            begin = clock()
            decision = decide(attempt, grants, locks)
            times.append((clock() - begin) / 1000)
            permits += isinstance(decision, Permit)
    finally:
        gc.enable()
    return times, permits


def _role(dice: random.Random, number: int) -> RoleSpec:
    labels = {"env": dice.sample(ENVS, 2), "team": [*dice.sample(TEAMS, 6), "{{external.team}}"]}
    if number % 3 == 0:
        labels["region"] = ["eu-*"]
    document = {
        "kind": "role",
        "metadata": {"name": f"role-{number}"},
        "spec": {
            "options": {"max_session_ttl": "12h", **({"forward_agent": True} if number % 4 == 0 else {})},
            "allow": {
                "logins": ["ubuntu", "{{internal.logins}}", *(["root"] if number % 5 == 0 else [])],
                "server_labels": labels,
                "app_labels": labels,
                **({"paths": ["/", "/api/*", "/static/*"]} if number % 6 == 0 else {}),
            },
            **({"deny": {"app_labels": {"tier": ["secret"]}, "paths": ["/admin/*"]}} if number % 10 == 0 else {}),
        },
    }
    spec = parse_mapping("role", document)
    assert isinstance(spec, RoleSpec)
    return spec


def _resource(dice: random.Random, number: int) -> Resource:
    labels = {"env": dice.choice(ENVS), "team": dice.choice(TEAMS), "region": dice.choice(REGIONS)}
    kind = "app" if number % 2 else "server"
    return Resource(kind, f"id-{number}", f"{kind}-{number}", labels)


def _subject() -> Subject:
    login = Login("session", NOW - 600, NOW + 36_000, frozenset({"pwd", "otp"}), NOW - 600)
    traits = {"team": ("team-1", "team-2"), "logins": ("alice",)}
    return Subject("id-alice", "alice", groups=frozenset({"ops", "dev", "staff"}), traits=traits, login=login)


def _attempt(dice: random.Random, subject: Subject, resource: Resource) -> Attempt:
    context = Context(NOW, "10.1.2.3")
    if resource.kind == "server":
        return Attempt(subject, "ssh.session", resource, context, login=dice.choice(("root", "alice", "ubuntu")))
    path = dice.choice(("/", "/api/v1/query", "/static/app.js", "/d/abc/dashboard", "/caf%C3%A9/menu"))
    return Attempt(subject, "app.request", resource, context, method="GET", path=path)
