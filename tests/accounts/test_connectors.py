"""What connectors' documents say, and notes about how the other side is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from accounts import connectors
from accounts.models import Connector
from broker.errors import Invalid, NotFound
from broker.models import AuditEvent


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    connectors.forget()
    yield
    connectors.forget()


def corp(name: str = "corp", **spec: Any) -> Connector:
    body = {"issuer": "https://id.example.com", "client_id": "postern", **spec}
    document = {"kind": "oidc", "metadata": {"name": name}, "spec": body}
    return Connector.objects.create(kind="oidc", name=name, document=document, enabled=spec.get("enabled", True))


def said() -> list[str]:
    return list(AuditEvent.objects.order_by("seq").values_list("name", flat=True))


@pytest.mark.django_db
def test_a_damaged_document_is_an_error_and_never_half_a_connector() -> None:
    row = corp()
    row.document["spec"].pop("issuer")
    with pytest.raises(Invalid):
        connectors.spec_of(row)


@pytest.mark.django_db
def test_a_changed_document_is_read_anew() -> None:
    row = corp()
    assert connectors.oidc_spec(row).display == ""
    assert connectors.spec_of(row) is connectors.spec_of(Connector.objects.get(pk=row.pk))
    row.document = {**row.document, "spec": {**row.document["spec"], "display": "Corp"}}
    assert connectors.oidc_spec(row).display == "Corp"
    with pytest.raises(Invalid, match="no directory"):
        connectors.ldap_spec(row)


@pytest.mark.django_db
def test_only_what_is_switched_on_is_listed() -> None:
    corp("off", enabled=False)
    on = corp("on")
    assert connectors.enabled("oidc") == [on]
    assert connectors.enabled("ldap") == []
    assert connectors.named("off").enabled is False
    for name in ("nobody", "\0", "On"):
        with pytest.raises(NotFound):
            connectors.named(name)


@pytest.mark.django_db(transaction=True)
def test_a_problem_is_on_record_once_and_so_is_its_end() -> None:
    row = corp()
    connectors.note_ok(row)
    assert (said(), row.problem, row.ok_at) == ([], "", row.checked_at)
    for _ in range(3):
        connectors.note_problem(row, "does not\nanswer")
    began = Connector.objects.get(pk=row.pk).failing_since
    connectors.note_problem(row, "its certificate ran out")
    row.refresh_from_db()
    assert row.ok_at
    assert began
    assert row.ok_at < began == row.failing_since, "another problem is not another failure"
    assert row.problem == "its certificate ran out"
    assert row.checked_at
    assert row.failing_since < row.checked_at
    connectors.note_ok(row)
    connectors.note_ok(row)
    row.refresh_from_db()
    assert row.problem == ""
    assert row.failing_since is None
    assert said() == ["connector.failed", "connector.recovered"]
    event = AuditEvent.objects.get(name="connector.failed")
    assert (event.resource_name, event.data["problem"]) == ("corp", "does not answer")
    assert event.data["connector_kind"] == "oidc"
    assert event.touches == []


@pytest.mark.django_db(transaction=True)
def test_the_same_note_again_costs_nothing(django_assert_num_queries: Any) -> None:
    row = corp()
    connectors.note_ok(row)
    with django_assert_num_queries(0):
        connectors.note_ok(row)


@pytest.mark.django_db(transaction=True)
def test_another_process_that_knew_of_no_problem_ends_it_all_the_same() -> None:
    row = corp()
    connectors.note_ok(row)
    Connector.objects.filter(pk=row.pk).update(problem="does not answer")  # as another process would
    connectors.forget()  # as seconds would
    connectors.note_ok(row)
    row.refresh_from_db()
    assert row.problem == ""


@pytest.mark.django_db(transaction=True)
def test_a_note_within_a_transaction_waits_for_its_end_and_is_not_half_written() -> None:
    row = corp()
    with transaction.atomic():
        connectors.note_problem(row, "does not answer")
        assert Connector.objects.get(pk=row.pk).problem == ""
    assert Connector.objects.get(pk=row.pk).problem == "does not answer"
    with transaction.atomic():
        connectors.note_ok(row)
        transaction.set_rollback(True)
    assert Connector.objects.get(pk=row.pk).problem == "does not answer"
    connectors.note_ok(row)
    assert Connector.objects.get(pk=row.pk).problem == ""


@pytest.mark.django_db(transaction=True)
def test_a_note_about_a_connector_that_is_gone_is_dropped() -> None:
    row = corp()
    Connector.objects.all().delete()
    connectors.note_problem(row, "does not answer")
    assert said() == []
