"""The audit log's writer: no event without its transaction, no number twice, none missing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from broker.audit.event import AccessDenied, UserDisabled, all_events
from broker.audit.log import record
from broker.audit.origin import Origin, system
from broker.models import AuditEvent

ALICE = Origin("person", "a1", "alice", "192.0.2.7", "req-1", "s1")


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_a_transaction_is_refused() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        record(ALICE, UserDisabled(id="b1", label="bob"))
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_event_falls_with_its_transaction() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012 - both lines are one act
        record(ALICE, UserDisabled(id="b1", label="bob"))
        raise RuntimeError
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db
def test_an_event_says_who_what_and_what_it_touches() -> None:
    with transaction.atomic():
        record(ALICE, UserDisabled(id="b1", label="bob", why="left", also_touches=("login_session:s9",)))
    row = AuditEvent.objects.get()
    assert (row.seq, row.name, row.actor_name, row.resource_name) == (1, "user.disabled", "alice", "bob")
    assert row.touches == ["user:b1", "login_session:s9"]
    assert row.data == {"why": "left", "by": ""}
    assert "left" in row.search
    assert "alice" in row.search


@pytest.mark.django_db(transaction=True)
def test_numbers_are_gapless_and_in_commit_order_under_eight_writers() -> None:
    """A07: a reader that asks for `seq > last` while others write sees every event once, in order."""
    seen: list[int] = []
    done = threading.Event()

    def write(worker: int) -> None:
        try:
            for number in range(12):
                with transaction.atomic():
                    record(system(f"w{worker}"), UserDisabled(id=str(number), label="x"))
                    if number % 5 == 4:
                        transaction.set_rollback(True)
        finally:
            connection.close()

    def read() -> None:
        try:
            while True:
                finished = done.is_set()
                after = seen[-1] if seen else 0
                seen.extend(AuditEvent.objects.filter(seq__gt=after).order_by("seq").values_list("seq", flat=True))
                if finished:
                    return
        finally:
            connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    done.set()
    reader.join()
    assert seen == list(range(1, 8 * 10 + 1))


@pytest.mark.django_db
def test_hostile_text_stays_one_record() -> None:
    """A10: line breaks, NUL, control characters and megabytes in what a client sent."""
    nasty = "admin logged in\r\n\0\x1b[31m\u2028{'a'" + "x" * 1_000_000
    with transaction.atomic():
        record(Origin("anonymous", "", nasty, "192.0.2.7"), AccessDenied(label=nasty, resource_kind="app"))
    row = AuditEvent.objects.get()
    assert len(row.actor_name) == 200
    assert "\0" not in row.search
    assert len(row.search) <= 20_000


def test_every_event_has_a_dotted_name_of_its_own() -> None:
    names = [cls.name for cls in all_events()]
    assert len(names) == len(set(names))
    assert all("." in name and name == name.lower() for name in names)
