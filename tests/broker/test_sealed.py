"""Sealed fields: clear on the instance, sealed in the row, and useless in any other row."""

from __future__ import annotations

import pickle
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import serializers
from django.db import connection, models, transaction

from broker import keystore
from broker.errors import PosternError
from broker.keystore import CannotOpen
from broker.sealed import Sealed, SealedBytesField, SealedTextField

SECRET = "-----BEGIN OPENSSH PRIVATE KEY----- ñ"


class Vault(models.Model):
    """A table with one column of each type."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    text = SealedTextField()
    data = SealedBytesField(default=b"")
    objects: models.Manager[Vault] = models.Manager()

    class Meta:
        app_label = "sealed_tests"
        managed = False


class Numbered(models.Model):
    """A table whose key the database gives, too late for sealing."""

    text = SealedTextField()

    class Meta:
        app_label = "sealed_tests"
        managed = False


@pytest.fixture(autouse=True)
def table(db: None, tmp_path: Path, settings: Any) -> None:
    settings.POSTERN = SimpleNamespace(keys_dir=tmp_path / "keys")
    keystore.create(tmp_path / "keys")
    key_type = Vault._meta.pk.db_type(connection)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE sealed_tests_vault (id {key_type} PRIMARY KEY, text text NOT NULL, data text)")


def column(row: Vault, name: str = "text") -> str:
    """What the database holds, asked without the field."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name} FROM sealed_tests_vault WHERE id = %s", [stored_key(row)])
        return str(cursor.fetchone()[0])


def put(row: Vault, sealed: str, name: str = "text") -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE sealed_tests_vault SET {name} = %s WHERE id = %s", [sealed, stored_key(row)])


def stored_key(row: Vault) -> Any:
    return Vault._meta.pk.get_db_prep_value(row.pk, connection)


def test_a_value_moved_to_another_row_does_not_open() -> None:
    alice, bob = Vault.objects.create(text="alice"), Vault.objects.create(text="bob")
    put(bob, column(alice))
    with pytest.raises(CannotOpen, match="belongs to another place"):
        _ = Vault.objects.get(pk=bob.pk).text


def test_a_value_moved_to_another_column_does_not_open() -> None:
    row = Vault.objects.create(text="alice", data=b"data")
    put(row, column(row, "data"))
    with pytest.raises(CannotOpen):
        _ = Vault.objects.get(pk=row.pk).text


def test_a_clear_value_slipped_into_the_row_is_not_taken() -> None:
    row = Vault.objects.create(text="alice")
    put(row, "mallory")
    with pytest.raises(CannotOpen):
        _ = Vault.objects.get(pk=row.pk).text


def test_a_copied_row_does_not_take_the_secret_along() -> None:
    row = Vault.objects.get(pk=Vault.objects.create(text="alice").pk)
    row.pk = uuid.uuid4()
    row.save(force_insert=True)
    with pytest.raises(CannotOpen):
        _ = Vault.objects.get(pk=row.pk).text


def test_nothing_is_written_or_searched_past_the_row() -> None:
    row = Vault.objects.create(text="alice")
    row.text = "new"
    for attempt in (
        lambda: Vault.objects.update(text="clear"),
        lambda: Vault.objects.bulk_update([row], ["text"]),
        lambda: Vault.objects.filter(text="alice").exists(),
        lambda: Vault.objects.filter(text__contains="ali").exists(),
        lambda: Vault.objects.filter(text__in=["alice"]).exists(),
        lambda: serializers.serialize("json", [row]),
    ):
        with pytest.raises(TypeError), transaction.atomic():
            attempt()
    assert Vault.objects.get(pk=row.pk).text == "alice"


def test_a_row_without_a_key_of_its_own_is_not_sealed() -> None:
    with pytest.raises(TypeError, match="needs a primary key"):
        Numbered(text="alice").save()


@pytest.mark.parametrize("value", [b"bytes", 5, ["a"], models.Value("x"), models.F("id")])
def test_a_value_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="text takes str"):
        Vault(text=value)


def test_without_the_ring_nothing_is_written_and_nothing_read(settings: Any) -> None:
    """O15."""
    row = Vault.objects.create(text="alice")
    (settings.POSTERN.keys_dir / keystore.RING_FILE).unlink()
    with pytest.raises(PosternError, match="is missing"), transaction.atomic():
        Vault.objects.create(text="bob")
    with pytest.raises(PosternError, match="is missing"):
        _ = Vault.objects.get(pk=row.pk).text
    assert Vault.objects.count() == 1


def test_no_dump_of_an_instance_shows_the_secret() -> None:
    row = Vault(text=SECRET, data=SECRET.encode())
    for moment in ("set", "saved", "loaded"):
        assert SECRET not in repr(row) + str(row) + repr(row.__dict__) + repr(vars(row)), moment
        row.save()
        if moment == "saved":
            row = Vault.objects.get(pk=row.pk)
    assert SECRET.encode() not in pickle.dumps(row)
    assert "<sealed>" in repr(list(Vault.objects.values()))


def test_the_database_holds_no_clear_text() -> None:
    row = Vault.objects.create(text=SECRET, data=SECRET.encode())
    assert column(row).startswith("v1:")
    assert column(row, "data").startswith("v1:")
    assert "BEGIN" not in column(row) + column(row, "data")


@pytest.mark.parametrize("text", [SECRET, "", "v1:looks:sealed", "\0"])
def test_text_comes_back(text: str) -> None:
    row = Vault.objects.create(text=text)
    assert row.text == text
    assert Vault.objects.get(pk=row.pk).text == text


@pytest.mark.parametrize("data", [b"", b"\0\xff", SECRET.encode()])
def test_bytes_come_back(data: bytes) -> None:
    row = Vault.objects.create(text="", data=data)
    assert row.data == data
    assert Vault.objects.get(pk=row.pk).data == data


def test_it_stays_right_through_every_way_django_touches_it() -> None:
    row = Vault.objects.create(text="one")
    before = column(row)
    Vault.objects.get(pk=row.pk).save()
    assert column(row) == before, "an untouched value is not sealed anew"
    row.text = "two"
    row.save(update_fields=["text"])
    assert column(row) != before
    assert Vault.objects.defer("text").get(pk=row.pk).text == "two"
    assert Vault.objects.only("text").get(pk=row.pk).text == "two"
    other = Vault.objects.get(pk=row.pk)
    row.text = "three"
    row.save()
    other.refresh_from_db()
    assert other.text == "three"
    other.full_clean()
    other.save()
    many = Vault.objects.bulk_create([Vault(text="a"), Vault(text="b")])
    assert [Vault.objects.get(pk=made.pk).text for made in many] == ["a", "b"]
    assert Vault.objects.filter(text__isnull=True).count() == 0


def test_a_row_read_without_an_instance_stays_sealed_until_opened() -> None:
    row = Vault.objects.create(text="alice")
    held = Vault.objects.values_list("text", flat=True).get()
    assert isinstance(held, Sealed)
    assert Vault._meta.get_field("text").open(held, row) == "alice"


def test_rotation_keeps_old_rows_readable(settings: Any) -> None:
    row = Vault.objects.create(text="alice")
    ring = keystore.rotate(settings.POSTERN.keys_dir)
    loaded = Vault.objects.get(pk=row.pk)
    assert loaded.text == "alice"
    loaded.text = loaded.text
    loaded.save()
    assert column(row).split(":")[1] == ring.newest
    assert Vault.objects.get(pk=row.pk).text == "alice"
