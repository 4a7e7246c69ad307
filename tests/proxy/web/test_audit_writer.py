"""The thread that writes events for processes that must not wait."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections

from broker.audit.event import TunnelOpened
from broker.audit.origin import system
from broker.models import AuditEvent
from proxy.web.audit_writer import AuditWriter

OPENED = TunnelOpened(
    id="1", label="wiki", access_session_id="", path="/ws", protocol="websocket", decision="permit"
)  # fmt: skip


@pytest.fixture
def writer(transactional_db: None) -> Iterator[AuditWriter]:
    """A writer that runs when the test says so."""
    made = AuditWriter()
    yield made
    if made.is_alive():
        made.stop()
    connections.close_all()


def test_whoever_gives_up_waiting_does_not_end_the_writer(writer: AuditWriter) -> None:
    """A tunnel that is cut while its event waits to be written: everybody else's events are still written."""
    writer.write(system("test"), OPENED).cancel()
    other = writer.write(system("test"), OPENED)
    writer.start()
    other.result(10)
    assert writer.able()
    assert AuditEvent.objects.filter(name=OPENED.name).count() == 2
