"""Clients and people at once: nobody holds the log while they wait for a user whose holder waits for the log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction

from accounts.models import User
from broker.audit.event import UserUpdated
from broker.audit.log import record
from broker.audit.origin import system
from tests.broker.scim.conftest import Provisioner, patch_of, provisioner

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time"),
]

RENAMED = {"op": "replace", "path": "displayName", "value": "Other"}
OUT: list[dict[str, Any]] = [
    {"op": "replace", "path": "displayName", "value": "Z"},
    {"op": "replace", "path": "active", "value": False},
]
WORK: dict[str, Callable[[dict[str, str]], tuple[str, str, Any]]] = {
    "a user": lambda at: ("PATCH", at["user"], patch_of(RENAMED)),
    "a leaver": lambda at: ("PATCH", at["user"], patch_of(*OUT)),
    "a user's end": lambda at: ("DELETE", at["user"], None),
    "a new group": lambda at: ("POST", "Groups", {"displayName": "new", "members": [{"value": at["id"]}]}),
    "a group's name": lambda at: ("PATCH", at["group"], patch_of(RENAMED)),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_a_client_waits_for_who_signs_in_without_the_log(
    work: Callable[[dict[str, str]], tuple[str, str, Any]],
) -> None:
    okta: Provisioner = provisioner()
    zoe = okta.user("zoe")
    made = okta.group("mine", zoe)
    at = {"id": zoe["id"], "user": f"Users/{zoe['id']}", "group": f"Groups/{made['id']}"}
    answers: list[int] = []

    def send() -> None:
        try:
            answers.append(okta.send(*work(at)).status_code)
        finally:
            connections.close_all()

    client = threading.Thread(target=send)
    with transaction.atomic():  # as each step of a sign-in does
        user = User.objects.select_for_update().get(pk=zoe["id"])
        client.start()
        until = time.monotonic() + 30
        while not _somebody_waits():
            assert client.is_alive(), "it did not wait"
            assert time.monotonic() < until
            time.sleep(0.01)
        record(system("test"), UserUpdated(id=str(user.pk), label=user.username, changed=()))
    client.join(60)
    assert answers in ([200], [201], [204])


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees what it saw first
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])
